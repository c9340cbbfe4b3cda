-- Run by psql, and not as an action `sql`, as an example of a command that shows its fencing token: a run that was
-- overtaken is refused here.
\getenv token C500_TOKEN_SHOP_ORDERS
SELECT c500.fence('shop/orders', :token) AS token \gset

-- What a former attempt left behind when it was cut off: an index that is not whole, and must be built again. One that
-- is still being built makes us wait here, until it is whole.
SET lock_timeout = '10min';
SELECT EXISTS (
    SELECT FROM pg_index WHERE indexrelid = to_regclass('orders_id_wide') AND NOT indisvalid
) AS broken \gset
\if :broken
    DROP INDEX CONCURRENTLY orders_id_wide;
\endif
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS orders_id_wide ON orders (id_wide);

-- In two steps: the first holds the table for a moment and looks at no row, the second looks at all and holds nobody up.
SET lock_timeout = '250ms';
SELECT NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'orders_id_wide_there') AS missing \gset
\if :missing
    ALTER TABLE orders ADD CONSTRAINT orders_id_wide_there CHECK (id_wide IS NOT NULL) NOT VALID;
\endif
SELECT c500.fence('shop/orders', :token) AS token \gset
ALTER TABLE orders VALIDATE CONSTRAINT orders_id_wide_there;
