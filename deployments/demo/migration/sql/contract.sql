DROP TRIGGER orders_in_step ON orders;
DROP FUNCTION orders_in_step();
ALTER TABLE orders DROP COLUMN id_narrow;
