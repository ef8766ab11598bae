// attention on the GPU: a few small calls that touch every load and store, for compute-sanitizer; see
// tests/README.md.
#include "ops/attention_call.h"
#include "ops/fixture.h"
#include "support/catch.h"
#include "support/gpu.h"

namespace sprue::test {

TEST_CASE("attention: small calls for compute-sanitizer", "[gpu][emulated][sanitize]") {
  SKIP_WITHOUT_GPU();
  const AttentionCase small = sequences(70, 130, 64, true, DType::bf16);
  std::vector<AttentionCase> cases = {small, sequences(65, 97, 128, false, DType::f16)};

  AttentionCase odd = sequences(33, 70, 72, true, DType::f16);  // partial tiles and the smallest alignment
  odd.shape.head_dim_v = 40;
  odd.layout = {.padding = 1, .offset = 1};
  cases.push_back(odd);

  AttentionCase wide = sequences(33, 70, 64, false, DType::bf16);
  wide.shape.head_dim_v = 512;
  cases.push_back(wide);

  AttentionCase scores = small;  // everything that reads something for a score
  scores.slopes = Slopes::per_sequence;
  scores.bias.given = true;
  scores.sinks = true;
  scores.shape.window_left = 40;
  scores.shape.softcap = 10;
  cases.push_back(scores);

  AttentionCase dropout = sequences(50, 75, 64, false, DType::f16);
  dropout.shape.dropout = {.probability = 0.3f, .seed = 1};
  dropout.probabilities = true;
  cases.push_back(dropout);

  AttentionCase packed = small;
  packed.shape.lengths_q = {70, 13};
  packed.shape.lengths_k = {40, 130};
  packed.q_storage = packed.k_storage = {.packed = true, .slack = true};
  cases.push_back(packed);

  AttentionCase paged = packed;
  paged.k_storage = {.page_size = 16, .slack = true, .wild = true};
  paged.bias.given = true;
  cases.push_back(paged);

  AttentionCase decode = sequences(1, 200, 128, true, DType::bf16);  // heads share a tile
  decode.shape.heads = 12;
  decode.k_storage.page_size = 48;
  cases.push_back(decode);

  AttentionCase nothing = packed;
  nothing.shape.lengths_k = {0, 0};
  cases.push_back(nothing);
  check_all(shared_runtime(), cases);
}

}  // namespace sprue::test
