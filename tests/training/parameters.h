// What the kernels of kernels.cu take. kernels.cpp includes it, and NVRTC reads it in front of them.

namespace sprue::training {

using bf16_bits = unsigned short;

struct MatmulParams {
  bf16_bits* c;
  const bf16_bits *a, *b;
  int m, n, k;
  long long a_row, a_column, b_row, b_column;  // strides in elements
};

struct EmbedParams {
  bf16_bits* x;
  const bf16_bits* table;
  const int* tokens;
  int hidden;
};

struct EmbedBackwardParams {
  bf16_bits* dtable;
  const bf16_bits* dx;
  const int* tokens;
  int count, hidden;
};

struct AdamWParams {
  float *master, *mean, *square;
  bf16_bits* copy;                 // of master; null where there is none
  const bf16_bits* gradient_bf16;  // one of these two
  const float* gradient_f32;
  int count;
  float rate, beta1, beta2, eps, decay;
  float mean_correction, square_correction;  // 1 - beta^step
};

}  // namespace sprue::training
