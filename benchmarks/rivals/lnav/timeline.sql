SELECT * FROM (
  SELECT log_time AS time, request_id AS id, 'prompt' AS layer, NULL AS alias, log_body AS kind, substr(coalesce(question, prompt), 1, 200) AS summary FROM bench_prompt
  UNION ALL SELECT log_time, "req/id", 'retrieval', NULL, log_body, substr(query, 1, 200) FROM bench_retrieval
  UNION ALL SELECT log_time, "metadata/correlation_id", 'model', call_id, log_body, substr("response/content", 1, 200) FROM bench_model
  UNION ALL SELECT log_time, "context/turn", 'policy', decision, log_body, verdict FROM bench_policy
  UNION ALL SELECT log_time, turnId, 'ui', messageId, log_body, substr(text, 1, 200) FROM bench_ui
) ORDER BY id, time
