DROP TRIGGER IF EXISTS orders_in_step ON orders;
DROP FUNCTION IF EXISTS orders_in_step();
ALTER TABLE orders DROP COLUMN IF EXISTS id_wide;
