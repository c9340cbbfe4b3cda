"""LLM accounts of many providers behind one pool: every quota used to the brim, none ever passed."""
