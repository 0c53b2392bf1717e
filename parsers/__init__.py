"""Formats that Strataline ships: one file per format, nothing else.

A format is a value. Its file declares how records of one log are recognised, where their fields lie, which of
them are ids, and which events a record holds; it ends in ``FORMAT = Format(...)``. It has no class, no loop over
records, no reading and no registration: formats are found by listing this folder, and those named with
``--formats DIR``. `strataline.format` is the contract, ``docs/writing-formats.md`` the walk-through, ``docs/tables.md``
the columns.

To add one:

1. **Look at the records first**, all of them: which keys every record has, what null and the empty string mean,
   which values each field takes. What looks like an id may be a session, a constant, or another record's id.
2. **Write** ``parsers/<name>.py``. It imports `strataline.format` and Polars. Its docstring says what a reader
   must know of these logs before trusting a time or an id.
3. **Recognise** it by keys that no other format shares. Of two formats that fit, the one with more marks is taken:
   a product's own format may so refine a general one, such as `structlog_json`.
4. **Say what an id is.** An alias names this request, call or record. A span is a span. A group (session, user,
   tenant) is shared by many requests. The id of another record (regenerated answer, filled cache) is a `Ref`.
5. **Say what a time is**: start, end, or the writing of the line; its unit if the digits do not tell; its zone
   only if the emitter always writes that one. Mark fields `verbatim` where the digits as written matter.
6. **Claim no more than the record says.** A verdict that is missing is not an allow. A word that is not known is
   ``unknown``. Lines that belong in the log and that the format does not describe become ``log.other`` unasked.
7. **Show it**: ``sample_logs/formats/<name>/`` gets a log of 10 to 30 real records, named as the real file is,
   with a damaged line in it. ``STRATALINE_REGENERATE=1 pytest tests/test_formats.py`` writes ``expected.jsonl``
   beside it. Read every row of that file before you keep it: it is the claim that you make.

The same test then holds it: the sample parses, the rows match, no other format claims the file, every line is
accounted for. Formats of a product's own need not be here: keep them beside its logs, as
``sample_logs/assist_incident/formats/`` does, and name that folder with ``--formats``.
"""
