"""The tables of the memory."""

FORM = 1
"""Of the tables; kept in the file as `user_version`."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS namespaces (
    namespace INTEGER PRIMARY KEY AUTOINCREMENT,  -- never given twice
    agent TEXT NOT NULL,
    user TEXT NOT NULL,
    version INTEGER NOT NULL DEFAULT 0,  -- counts changes of what is recalled
    epoch INTEGER NOT NULL DEFAULT 0,    -- counts erasures
    UNIQUE (agent, user)
);
CREATE TABLE IF NOT EXISTS memories (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    memory_id TEXT NOT NULL UNIQUE,
    namespace INTEGER NOT NULL REFERENCES namespaces,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    text_hash TEXT NOT NULL,
    importance INTEGER NOT NULL,
    state TEXT NOT NULL,
    reasons TEXT NOT NULL,               -- JSON
    accesses INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,            -- seconds since 1970
    used_at REAL NOT NULL,
    changed_at REAL NOT NULL,            -- when its state or place last changed
    reviewed_by TEXT,
    forgotten_by TEXT,
    merged_into TEXT,
    grouped INTEGER NOT NULL DEFAULT 0,  -- how closely it was compared with those like it
    version INTEGER NOT NULL             -- of the namespace, when this was last changed
);
CREATE INDEX IF NOT EXISTS memories_hash ON memories (namespace, text_hash);
CREATE INDEX IF NOT EXISTS memories_version ON memories (namespace, version);
CREATE INDEX IF NOT EXISTS memories_state ON memories (namespace, state, merged_into, importance, used_at);
CREATE INDEX IF NOT EXISTS memories_grouped ON memories (namespace, grouped, seq);
CREATE INDEX IF NOT EXISTS memories_merged ON memories (merged_into);
CREATE TABLE IF NOT EXISTS vectors (     -- apart, so that memories are read without them
    seq INTEGER PRIMARY KEY REFERENCES memories ON DELETE CASCADE,
    embedder TEXT NOT NULL,
    vector BLOB NOT NULL                 -- float32, of length 1
);
CREATE TABLE IF NOT EXISTS origins (
    seq INTEGER NOT NULL REFERENCES memories ON DELETE CASCADE,
    run_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    tool TEXT NOT NULL,
    labels TEXT NOT NULL,                -- JSON
    at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS origins_seq ON origins (seq);
CREATE TABLE IF NOT EXISTS writes (      -- outlives what was written: a call that is repeated writes nothing again
    run_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    memory_id TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (run_id, call_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS writes_memory ON writes (memory_id);
CREATE TABLE IF NOT EXISTS recalls (     -- what a run was given: it is given the same when it goes on after a crash
    run_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    searched TEXT NOT NULL,
    found TEXT NOT NULL,                 -- JSON: [[memory_id, similarity, score], …]; no texts
    at REAL NOT NULL,
    PRIMARY KEY (run_id, call_id)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE IF NOT EXISTS memory_words USING fts5 (
    words, tokenize="unicode61 remove_diacritics 0"
);
CREATE VIRTUAL TABLE IF NOT EXISTS memory_terms USING fts5vocab (memory_words, 'row');
"""
"""`memory_words` has the words of what is recalled, each with its namespace before it, so that a search touches one
namespace and counts its words alone."""
