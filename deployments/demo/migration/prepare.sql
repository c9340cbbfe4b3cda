-- A shop whose orders are numbered by integers, which end at 2,147,483,647.
CREATE TABLE orders (
    id serial PRIMARY KEY,
    reference text NOT NULL UNIQUE,
    customer text NOT NULL,
    amount_cents integer NOT NULL CHECK (amount_cents >= 0),
    changed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO orders (reference, customer, amount_cents)
SELECT 'old-' || n, 'customer-' || n % 500, n % 10000 FROM generate_series(1, 20000) AS n;
