ALTER TABLE orders ADD COLUMN id_wide bigint;

CREATE FUNCTION orders_in_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.id_wide := NEW.id;
    RETURN NEW;
END $$;

CREATE TRIGGER orders_in_step BEFORE INSERT OR UPDATE ON orders
FOR EACH ROW EXECUTE FUNCTION orders_in_step();
