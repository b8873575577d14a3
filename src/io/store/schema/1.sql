-- Hot rows: small, so that a hundred thousand waiting actions stay in a few pages.
CREATE TABLE actions (
    sequence       INTEGER PRIMARY KEY,
    id             BLOB NOT NULL UNIQUE,
    tenant         TEXT NOT NULL,
    machine        BLOB NOT NULL,
    sha1           BLOB NOT NULL,
    alert          TEXT NOT NULL,
    comment        TEXT NOT NULL,
    class          INTEGER NOT NULL,
    state          TEXT NOT NULL,
    detail         TEXT NOT NULL,
    -- The last one it had, also after its end.
    machine_action TEXT,
    -- Where it is accepted and Defender has said that its machine has not fetched it: since when it
    -- is accepted.
    unfetched      INTEGER,
    -- How often it was called again because it had timed out or failed.
    again          INTEGER NOT NULL DEFAULT 0,
    not_before     INTEGER NOT NULL,
    created        INTEGER NOT NULL,
    changed        INTEGER NOT NULL,
    expires        INTEGER NOT NULL,
    -- What `expires` is if it is queued, or held, from its creation on.
    expires_queued INTEGER NOT NULL,
    expires_held   INTEGER NOT NULL,
    -- Id of the rule that decided.
    rule           TEXT NOT NULL,
    -- When it was decided to act, by rules or evidence: what breakers count.
    acted          INTEGER,
    -- How many pauses of its rule, machine or file cover it, and one more once it is to be
    -- cancelled: the queue passes over it.
    aside          INTEGER NOT NULL,
    -- Who released it and which deny rules they passed over as unknown; null where nobody did.
    released       TEXT,
    -- CRC-32C of id, tenant, machine, sha1, alert and comment: what a call is made of.
    checksum       INTEGER NOT NULL
) STRICT;

-- The queue in order of arrival. `not_before` is only there to be filtered without the row.
CREATE INDEX actions_queue ON actions (tenant, class, sequence, not_before)
    WHERE state = 'queued' AND aside = 0;
-- Those that wait for a time, so that the next one is found at once. Few: most are due as created.
CREATE INDEX actions_later ON actions (tenant, class, not_before)
    WHERE state = 'queued' AND aside = 0 AND not_before > created;
-- All of one file: what breakers count, and what a recall finds.
CREATE INDEX actions_file ON actions (sha1, tenant, acted);
-- What was quarantined on a machine: the command that restores one file there restores all.
CREATE INDEX actions_done ON actions (machine) WHERE state = 'succeeded';
CREATE INDEX actions_expiry ON actions (tenant, expires) WHERE state IN ('held', 'queued');
CREATE INDEX actions_open ON actions (tenant, state)
    WHERE state IN ('held', 'in_flight', 'in_doubt', 'accepted');
CREATE INDEX actions_aside ON actions (tenant) WHERE state = 'queued' AND aside > 0;
-- What has ended at Defender, also where its action is called again since.
CREATE INDEX actions_outcomes ON actions (tenant, changed)
    WHERE machine_action IS NOT NULL AND state <> 'accepted';
CREATE INDEX actions_unfetched ON actions (tenant, unfetched) WHERE unfetched IS NOT NULL;
CREATE INDEX actions_ended ON actions (changed)
    WHERE state NOT IN ('held', 'queued', 'in_flight', 'in_doubt', 'accepted');

-- What explains an action afterwards; read only when a person asks.
CREATE TABLE origins (
    sequence  INTEGER PRIMARY KEY, -- of the action
    candidate TEXT NOT NULL,
    rules     TEXT NOT NULL,
    ruleset   TEXT NOT NULL,
    approvals TEXT,                -- that a hold asks for; null for one yes of anybody
    endings   TEXT,                -- what becomes of it where it is not done; null: it ends so
    delivery  TEXT NOT NULL,
    payload   INTEGER              -- where the alert's own bytes are
) STRICT;

-- The alert's own bytes, once for all actions that it led to, under the sequence of the first: rows
-- are appended, where a key by hash would touch a page of its own for each.
CREATE TABLE payloads (
    sequence INTEGER PRIMARY KEY,
    body     BLOB NOT NULL
) STRICT;

-- One row for each file on a machine. While the owner is open, `ended` is null and its state
-- stands in its own row alone.
CREATE TABLE effects (
    tenant       TEXT NOT NULL,
    machine      BLOB NOT NULL,
    sha1         BLOB NOT NULL,
    owner        BLOB NOT NULL,
    ended        TEXT,
    blocks_until INTEGER,
    -- Of the last success, whoever owned the effect since: when, and until when it blocks.
    completed     INTEGER,
    success_until INTEGER,
    evidence      INTEGER, -- of the owner
    window       INTEGER NOT NULL,
    first        INTEGER NOT NULL,
    times        INTEGER NOT NULL,
    -- When the row means nothing any more: it blocks nothing, and the count of returns is over.
    forget       INTEGER,
    PRIMARY KEY (tenant, machine, sha1)
) STRICT, WITHOUT ROWID;
CREATE INDEX effects_forget ON effects (forget) WHERE forget IS NOT NULL;

-- What evidence has shown a deny rule to cover: nothing is sent for it until then, whatever other
-- evidence says.
CREATE TABLE spared (
    tenant  TEXT NOT NULL,
    machine BLOB NOT NULL,
    sha1    BLOB NOT NULL,
    until   INTEGER NOT NULL,
    by      TEXT NOT NULL,
    PRIMARY KEY (tenant, machine, sha1)
) STRICT, WITHOUT ROWID;
CREATE INDEX spared_until ON spared (until);

-- A stamp is 32 bytes: boot id, boot time, wall time (microseconds, big-endian).
CREATE TABLE attempts (
    sequence INTEGER PRIMARY KEY,
    id       BLOB NOT NULL UNIQUE,
    action   BLOB NOT NULL,
    tenant   TEXT NOT NULL,
    written  BLOB NOT NULL,
    send_by  BLOB NOT NULL,
    -- CRC-32C of the columns above.
    checksum INTEGER NOT NULL,
    closed   BLOB,
    answered INTEGER,
    status   INTEGER,
    text     TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX attempts_tenant ON attempts (tenant);
CREATE INDEX attempts_action ON attempts (action);
CREATE INDEX attempts_unclosed ON attempts (tenant) WHERE closed IS NULL;

CREATE TABLE receipts (
    sequence   INTEGER PRIMARY KEY,
    at         INTEGER NOT NULL,
    source     TEXT NOT NULL,
    tenant     TEXT,
    alert      TEXT NOT NULL,
    fate       TEXT NOT NULL,
    reason     TEXT NOT NULL,
    delivery   TEXT NOT NULL,
    candidates TEXT NOT NULL,
    head       TEXT,
    ruleset    TEXT NOT NULL
) STRICT;
CREATE INDEX receipts_alert ON receipts (alert);
CREATE INDEX receipts_fate ON receipts (fate, at);

-- Alerts of streams, as far as their rows have come (`body`: domain/join). `due` is null where
-- nothing waits.
CREATE TABLE partials (
    sequence    INTEGER PRIMARY KEY,
    tenant      TEXT NOT NULL,
    alert       TEXT NOT NULL,
    source      TEXT NOT NULL,
    coordinates TEXT NOT NULL,
    opened      INTEGER NOT NULL,
    touched     INTEGER NOT NULL,
    due         INTEGER,
    bytes       INTEGER NOT NULL,
    body        TEXT NOT NULL,
    UNIQUE (tenant, alert)
) STRICT;
CREATE INDEX partials_due ON partials (due) WHERE due IS NOT NULL;
CREATE INDEX partials_told ON partials (tenant, touched) WHERE due IS NULL;
CREATE INDEX partials_old ON partials (touched) WHERE due IS NULL;
-- How many of them each tenant has, their bytes, and when rows were last refused or forgotten for
-- want of room.
CREATE TABLE joins (
    tenant TEXT PRIMARY KEY,
    alerts INTEGER NOT NULL,
    bytes  INTEGER NOT NULL,
    lost   INTEGER
) STRICT, WITHOUT ROWID;

-- Receipts that wait for Defender's answers, as they came.
CREATE TABLE lookups (
    sequence    INTEGER PRIMARY KEY,
    tenant      TEXT NOT NULL,
    source      TEXT NOT NULL,
    coordinates TEXT NOT NULL,
    received    INTEGER NOT NULL,
    due         INTEGER NOT NULL,
    asks        TEXT NOT NULL,
    format      TEXT NOT NULL,
    text        TEXT NOT NULL,
    alert       TEXT NOT NULL,
    candidates  TEXT NOT NULL,     -- those that are read already
    kind        INTEGER NOT NULL   -- 0: asks for alerts only; 1: for hosts too; 2: for what candidates lack
) STRICT;
CREATE INDEX lookups_tenant ON lookups (tenant, source, kind, sequence);
-- How many of them there are, and of how many bytes.
CREATE TABLE asking (
    tenant TEXT NOT NULL,
    source TEXT NOT NULL,
    alerts INTEGER NOT NULL,
    bytes  INTEGER NOT NULL,
    PRIMARY KEY (tenant, source)
) STRICT, WITHOUT ROWID;

-- What correlations count: one row for each candidate, base rule and group. `ruleset` is the one by
-- which it was last found to count; `matched` says that it was acted on, or judged to be.
CREATE TABLE events (
    sequence    INTEGER PRIMARY KEY,
    tenant      TEXT NOT NULL,
    rule        TEXT NOT NULL,
    grp         TEXT NOT NULL,
    alert       TEXT NOT NULL,
    machine     BLOB NOT NULL,
    sha1        BLOB NOT NULL,
    base        TEXT NOT NULL,
    time        INTEGER NOT NULL,
    value       TEXT NOT NULL,
    matched     INTEGER NOT NULL,
    until       INTEGER NOT NULL,
    evidence    INTEGER,
    source      TEXT NOT NULL,
    coordinates TEXT NOT NULL,
    received    INTEGER NOT NULL,
    ruleset     TEXT NOT NULL,
    candidate   TEXT NOT NULL,
    UNIQUE (tenant, rule, grp, alert, machine, sha1, base)
) STRICT;
CREATE INDEX events_time ON events (tenant, rule, grp, time);
CREATE INDEX events_until ON events (until);
CREATE INDEX events_alert ON events (tenant, alert);
-- How many of them each tenant has.
CREATE TABLE counted (
    tenant TEXT PRIMARY KEY,
    events INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Counted in the intake transaction, apart from each other: received = Σ fates, and what waits in
-- `partials` and `lookups`.
CREATE TABLE counters (
    source TEXT NOT NULL,
    fate   TEXT NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (source, fate)
) STRICT, WITHOUT ROWID;
CREATE TABLE received (
    source TEXT PRIMARY KEY,
    count  INTEGER NOT NULL,
    newest INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
-- Open states: how many stand there now. Ended ones: how many ever came there.
CREATE TABLE states (
    tenant TEXT NOT NULL,
    state  TEXT NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (tenant, state)
) STRICT, WITHOUT ROWID;

-- Ids come in no order, so their index is kept apart from the answers, and small.
CREATE TABLE replays (
    source     TEXT NOT NULL,
    id         TEXT NOT NULL,
    keep_until INTEGER NOT NULL,
    answer     TEXT NOT NULL,
    UNIQUE (source, id)
) STRICT;
CREATE INDEX replays_keep ON replays (keep_until);

-- `next` is one past the last message that was taken.
CREATE TABLE offsets (
    source    TEXT NOT NULL,
    topic     TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next      INTEGER NOT NULL,
    PRIMARY KEY (source, topic, partition)
) STRICT, WITHOUT ROWID;

-- `scope` is `all`, `tenant:NAME`, `rule:ID`, `machine:HEX` or `sha1:HEX`.
CREATE TABLE pauses (
    scope    TEXT PRIMARY KEY,
    by       TEXT NOT NULL,
    reason   TEXT NOT NULL,
    at       INTEGER NOT NULL,
    -- It is a recall's: what comes meanwhile waits for a person, also after its end.
    recalled INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Breakers that tripped. One that was resumed counts anew from then.
CREATE TABLE trips (
    tenant  TEXT NOT NULL,
    breaker TEXT NOT NULL,
    scope   TEXT NOT NULL,
    at      INTEGER NOT NULL,
    why     TEXT NOT NULL,
    resumed INTEGER,
    PRIMARY KEY (tenant, breaker, scope)
) STRICT, WITHOUT ROWID;

-- Actions decided of one tenant's rule, or (with an empty rule) of all its rules, by minute.
CREATE TABLE acted (
    tenant TEXT NOT NULL,
    rule   TEXT NOT NULL,
    minute INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (tenant, rule, minute)
) STRICT, WITHOUT ROWID;
CREATE INDEX acted_minute ON acted (minute);

-- When each machine was last decided to be acted on, of tenants with a breaker that counts them.
CREATE TABLE touched (
    tenant  TEXT NOT NULL,
    machine BLOB NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (tenant, machine)
) STRICT, WITHOUT ROWID;
CREATE INDEX touched_at ON touched (tenant, at);
CREATE INDEX touched_old ON touched (at);

-- Actions to be cancelled at Defender: none of them is ever sent again. `trouble` is why the last
-- try came to nothing; `answer` is null while there is something left to ask.
CREATE TABLE cancels (
    action  BLOB PRIMARY KEY,
    tenant  TEXT NOT NULL,
    by      TEXT NOT NULL,
    reason  TEXT NOT NULL,
    at      INTEGER NOT NULL,
    trouble TEXT,
    answer  TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX cancels_open ON cancels (tenant) WHERE answer IS NULL;

-- How far each channel has been told, by the position of the changes: below `next` all; up to
-- `until` a batch is being told, of which `told` was the last.
CREATE TABLE cursors (
    channel TEXT PRIMARY KEY,
    next    INTEGER NOT NULL,
    until   INTEGER NOT NULL,
    told    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is noted among the changes once, or once a day, and when it was: `silent:SOURCE` while that
-- is so, `expiring:TENANT`.
CREATE TABLE noted (
    what TEXT PRIMARY KEY,
    at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The rules and lists that were last in force, and a hash of the content of each.
CREATE TABLE rules (
    name TEXT PRIMARY KEY,
    hash TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The hash chains: each hash covers the one before it, the chain's name, sequence, position (in the
-- order of commits, over all chains) and the bytes of `entry`. Rows are never changed and never
-- deleted.
CREATE TABLE changes (
    position INTEGER PRIMARY KEY,
    chain    TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    hash     BLOB NOT NULL,
    entry    TEXT NOT NULL,
    action   BLOB,
    UNIQUE (chain, sequence)
) STRICT;
CREATE INDEX changes_action ON changes (action) WHERE action IS NOT NULL;
