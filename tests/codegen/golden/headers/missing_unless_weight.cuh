// Included only with a weight.
int weight;
