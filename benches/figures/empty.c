/* The named baseline: a static process that does nothing. */
int main(void) { return 0; }
