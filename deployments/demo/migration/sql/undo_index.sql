ALTER TABLE orders DROP CONSTRAINT IF EXISTS orders_id_wide_there;
DROP INDEX IF EXISTS orders_id_wide;
