"""Policy replica b (policyd, text): its decisions, and the bundles that it loaded, in Berlin time."""

import polars as pl

from strataline.format import Event, Format, Id, group, words

BEGINS = r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (?P<level>[A-Z]+) policyd: "
DECISION = (
    r"decision id=(?P<id>\S+) stage=(?P<stage>\w+) verdict=(?P<verdict>\w+) rule=(?P<rule>\S+) rev=(?P<rev>\S+) "
    r'user=(?P<user>\S+) session=(?P<session>\S+) ms=(?P<ms>[0-9.]+)(?: err="(?P<error>[^"]*)")?'
)
LOADED = r"bundle loaded rev=(?P<loaded>\S+) prev=(?P<previous>\S+) on_error=(?P<on_error>\w+) rules=(?P<rules>\S+)"


def _given(name: str) -> pl.Expr:
    """The field, with what stands for nothing as null."""
    return pl.when(~pl.col(name).is_in(["-", "None"])).then(pl.col(name))


failed = pl.col("error").is_not_null()

FORMAT = Format(
    name="policyd_text",
    title="policyd decisions (text)",
    layer="policy",
    reference="policy/policy-b.log of policyd",
    verified=True,
    container="text",
    pattern=f"{BEGINS}(?:{DECISION}|{LOADED})",
    begins=r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [A-Z]+ policyd: ",
    other=BEGINS + ".*",
    fields={
        name: group(name)
        for name in (
            "time",
            "id",
            "stage",
            "verdict",
            "rule",
            "rev",
            "user",
            "session",
            "ms",
            "error",
            "loaded",
            "previous",
            "on_error",
            "rules",
        )
    },
    time="time",
    zone="Europe/Berlin",
    clock=pl.lit("policy-b"),
    columns={"service": pl.lit("policyd"), "session": _given("session"), "user": _given("user")},
    events=(
        Event(
            kind="policy.decision",
            when=pl.col("id").is_not_null(),
            ids=(Id("decision_id", "id"),),
            columns={
                "name": pl.lit("decision"),
                "policy_name": _given("rule"),
                "policy_version": "rev",
                "policy_stage": "stage",
                # The line does not name the mode; a text that passed although a rule broke shows it.
                "policy_mode": pl.when(failed).then(words("verdict", {"allow": "fail_open", "deny": "fail_closed"})),
                "verdict": words("verdict", {"allow": "allow", "deny": "block"}, default="unknown"),
                "enforced": pl.when(pl.col("verdict") == "deny").then(pl.lit(value=True)),
                "outcome": pl.when(failed)
                .then(pl.lit("error"))
                .otherwise(words("verdict", {"allow": "ok", "deny": "blocked"}, default="unknown")),
            },
            attributes={"error": "error", "eval_ms": "ms"},
        ),
        Event(
            kind="change.applied",
            layer="change",
            when=pl.col("loaded").is_not_null(),
            columns={
                "name": pl.lit("bundle loaded"),
                "policy_version": "loaded",
                "change_scope": pl.lit("policy"),
                "change_key": pl.lit("policy_rev"),
                "change_old": _given("previous"),
                "change_new": "loaded",
            },
            attributes={"on_error": "on_error", "rules": "rules"},
        ),
    ),
)
