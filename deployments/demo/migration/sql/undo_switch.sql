-- Nothing to undo where the switch did not happen: it was one transaction.
DO $undo$
BEGIN
    LOCK TABLE orders IN ACCESS EXCLUSIVE MODE;
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'id_narrow' AND NOT attisdropped
    ) THEN
        RETURN;
    END IF;
    DROP TRIGGER orders_in_step ON orders;
    ALTER TABLE orders DROP CONSTRAINT orders_pkey;
    ALTER TABLE orders ALTER COLUMN id DROP DEFAULT;
    ALTER TABLE orders ALTER COLUMN id DROP NOT NULL;
    ALTER TABLE orders RENAME COLUMN id TO id_wide;
    ALTER TABLE orders RENAME COLUMN id_narrow TO id;
    -- Holds the table for as long as the index takes: the way back may be slower than the way there.
    ALTER TABLE orders ADD CONSTRAINT orders_pkey PRIMARY KEY (id);
    ALTER SEQUENCE orders_id_seq OWNED BY orders.id;
    ALTER SEQUENCE orders_id_seq AS integer;
    ALTER TABLE orders ALTER COLUMN id SET DEFAULT nextval('orders_id_seq');
    EXECUTE $body$
        CREATE OR REPLACE FUNCTION orders_in_step() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            NEW.id_wide := NEW.id;
            RETURN NEW;
        END $$
    $body$;
    CREATE TRIGGER orders_in_step BEFORE INSERT OR UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION orders_in_step();
END $undo$;
