"""Slack: what Slack posts to an app (Events API, and taps on its buttons), as a Bolt app logs or stores it.

What to know of these payloads: `ts` is Slack's clock and the id of a message at once; `thread_ts` is the conversation.
Slack posts again what was not acknowledged, with the same `event_id`, and posts a mention twice where the app asked
for `message` as well. What the app itself wrote comes back as a message with a `bot_id`. Reactions and taps name the
message that they are on.
"""

import polars as pl

from strataline.format import Event, Format, Id, Recognise, Ref, Time, filled, path

UP = r"^(?:\+1|thumbsup|heart|tada|white_check_mark|heavy_check_mark|100|clap|raised_hands|star|ok_hand)(?:$|::)"
DOWN = r"^(?:-1|thumbsdown|x|no_entry|no_entry_sign|negative_squared_cross_mark|disappointed|confused|poop)(?:$|::)"
GOOD, BAD = (
    r"(?i)good|positive|thumbs?_?up|upvote|like|helpful|(?:^|_)up(?:$|_)",
    r"(?i)bad|negative|down|dislike|unhelpful",
)
TAPS = (
    (r"(?i)feedback|thumb|rating|vote|(?:dis)?like|helpful", "ui.feedback"),
    (r"(?i)regenerat", "ui.regenerate"),
    (r"(?i)retry|resend", "ui.retry"),
    (r"(?i)stop|cancel|abort", "ui.stopped"),
    (r"(?i)copy", "ui.copied"),
    (r"(?i)citation|source", "ui.citation"),
)


def _tapped() -> pl.Expr:
    found = pl.lit("ui.event")
    for pattern, kind in reversed(TAPS):
        found = pl.when(tap.str.contains(pattern)).then(pl.lit(kind)).otherwise(found)
    return found


tap = filled("action", "callback")
tapped = _tapped()
vote = pl.coalesce("value", "action")
inner, subtype = pl.col("event"), pl.col("subtype")
interaction = pl.col("type") != "event_callback"
message = inner.is_in(["message", "app_mention"]).fill_null(value=False)
own = pl.coalesce("bot", "edited_bot").is_not_null() | (subtype == "bot_message").fill_null(value=False)
changed = (subtype == "message_changed").fill_null(value=False)
written = subtype.is_null() | subtype.is_in(["bot_message", "file_share", "thread_broadcast", "assistant_app_thread"])
asked, answered = message & written & ~own, message & own & (written | changed)
person = filled("user", "assistant_user", "tapper", "edited_user")
place = filled("channel", "assistant_channel", "item_channel", "tap_channel")
alone = place.str.starts_with("D") | place.is_null()
reacted = inner == "reaction_added"
feedback = (tapped == "ui.feedback") & interaction

FORMAT = Format(
    name="slack_events",
    title="Slack app events",
    layer="ui",
    reference="https://docs.slack.dev/apis/events-api/",
    verified=True,
    export="What the app's request handler logs or stores: Slack keeps no log of what it posted.",
    limits="Texts as Slack sent them; which of them the app took up is not said.",
    recognise=Recognise(
        keys=(("api_app_id",),),
        any_of=((("event", "type"), ("actions",), ("callback_id",), ("view", "callback_id")),),
        where=((("type",), r"^(?:event_callback|block_actions|message_action|shortcut|view_submission|view_closed)$"),),
    ),
    fields={
        "type": path("type"),
        "event_id": path("event_id"),
        "team": path("team_id"),
        "team_2": path("team", "id"),
        "app": path("api_app_id"),
        "event": path("event", "type"),
        "subtype": path("event", "subtype"),
        "event_ts": path("event", "event_ts"),
        "ts": path("event", "ts"),
        "thread": path("event", "thread_ts"),
        "assistant_thread": path("event", "assistant_thread", "thread_ts"),
        "channel": path("event", "channel"),
        "assistant_channel": path("event", "assistant_thread", "channel_id"),
        "item_channel": path("event", "item", "channel"),
        "user": path("event", "user"),
        "assistant_user": path("event", "assistant_thread", "user_id"),
        "asker": path("event", "parent_user_id"),
        "text": path("event", "text"),
        "bot": path("event", "bot_id"),
        "edited_text": path("event", "message", "text"),
        "edited_ts": path("event", "message", "ts"),
        "edited_bot": path("event", "message", "bot_id"),
        "edited_user": path("event", "message", "user"),
        "edited_thread": path("event", "message", "thread_ts"),
        "deleted_ts": path("event", "deleted_ts"),
        "client_message": path("event", "client_msg_id"),
        "reaction": path("event", "reaction"),
        "item_ts": path("event", "item", "ts"),
        "action": path("actions", 0, "action_id"),
        "value": path("actions", 0, "value"),
        "action_ts": path("actions", 0, "action_ts"),
        "shortcut_ts": path("action_ts"),
        "callback": path("callback_id"),
        "view_callback": path("view", "callback_id"),
        "tapper": path("user", "id"),
        "tap_channel": path("channel", "id"),
        "tapped_ts": path("container", "message_ts"),
        "tapped_thread": path("message", "thread_ts"),
        "message_ts": path("message", "ts"),
    },
    time=Time(filled("event_ts", "action_ts", "shortcut_ts", "ts"), "s"),
    columns={
        "service": pl.lit("slack"),
        "name": pl.when(interaction)
        .then(filled("action", "callback", "view_callback", "type"))
        .otherwise(pl.concat_str("event", "subtype", separator=" ", ignore_nulls=True)),
        # What the app wrote is for whoever began the thread; in a channel anyone may react to it.
        "user": pl.when(own).then("asker").when(alone | message).then(person),
        "tenant": filled("team", "team_2"),
        "session": pl.coalesce(
            filled("thread", "assistant_thread", "edited_thread", "tapped_thread"),
            # A message outside of a thread may begin one.
            pl.when(asked).then("ts"),
            filled("channel", "assistant_channel", "tap_channel"),
        ),
    },
    ids=(
        Id("event_uuid", "event_id"),
        Id("message_id", "client_message"),
        Id("channel", place, role="group"),
        Id("app", "app", role="group"),
    ),
    attributes={"by": pl.when(~own & ~message & ~alone).then(person)},
    events=(
        Event("ui.message_sent", when=asked, columns={"input": "text"}, ids=(Id("message_id", "ts"),)),
        Event(
            kind="ui.rendered",
            when=answered,
            columns={
                "output": pl.when(changed).then("edited_text").otherwise("text"),
                "shown": pl.lit("answer"),
            },
            ids=(Id("message_id", pl.when(changed).then("edited_ts").otherwise("ts")),),
            refs=(Ref("message_id", filled("thread", "edited_thread"), "parent_message"),),
        ),
        Event(
            kind="ui.feedback",
            when=reacted,
            columns={
                "feedback": pl.when(pl.col("reaction").str.contains(UP))
                .then(pl.lit("up"))
                .when(pl.col("reaction").str.contains(DOWN))
                .then(pl.lit("down"))
                .otherwise("reaction")
            },
            ids=(Id("message_id", "item_ts"),),
            attributes={"reaction": "reaction"},
        ),
        Event(
            kind=tapped,
            when=interaction,
            columns={
                "feedback": pl.when(feedback).then(
                    pl.when(vote.str.contains(BAD))
                    .then(pl.lit("down"))
                    .when(vote.str.contains(GOOD))
                    .then(pl.lit("up"))
                    .otherwise(vote)
                ),
                "outcome": pl.when(tapped == "ui.stopped").then(pl.lit("cancelled")),
            },
            ids=(Id("message_id", filled("tapped_ts", "message_ts")),),
            attributes={"value": filled("value"), "interaction": "type"},
        ),
        Event(
            kind="ui.event",
            when=~(interaction | asked | answered | reacted),
            refs=(
                Ref("message_id", pl.when(changed).then("edited_ts"), "edit_of"),
                Ref("message_id", "deleted_ts", "deletes"),
            ),
        ),
    ),
)
