-- One transaction, that looks at no row: the constraint proves that no number is missing.
LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;
DROP TRIGGER orders_in_step ON orders;
ALTER TABLE orders ALTER COLUMN id_wide SET NOT NULL;
ALTER TABLE orders DROP CONSTRAINT orders_id_wide_there;
ALTER TABLE orders DROP CONSTRAINT orders_pkey;
ALTER TABLE orders ALTER COLUMN id DROP DEFAULT;
ALTER TABLE orders ALTER COLUMN id DROP NOT NULL;
ALTER TABLE orders RENAME COLUMN id TO id_narrow;
ALTER TABLE orders RENAME COLUMN id_wide TO id;
ALTER TABLE orders ADD CONSTRAINT orders_pkey PRIMARY KEY USING INDEX orders_id_wide;
ALTER SEQUENCE orders_id_seq AS bigint;
ALTER SEQUENCE orders_id_seq OWNED BY orders.id;
ALTER TABLE orders ALTER COLUMN id SET DEFAULT nextval('orders_id_seq');

-- For the way back: the narrow column goes on being filled, as long as numbers fit.
CREATE OR REPLACE FUNCTION orders_in_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.id_narrow := NEW.id;
    RETURN NEW;
END $$;
CREATE TRIGGER orders_in_step BEFORE INSERT OR UPDATE ON orders
FOR EACH ROW EXECUTE FUNCTION orders_in_step();
