// The shapes that bench and tune are given, as text and as JSON.
#include "bench/cases.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "sprue/error.h"
#include "support/catch.h"

namespace sprue::tools {
namespace {

Case parse(const std::string& op, const std::string& text) {
  return parse_case_text(find_operator(op), text);
}

std::string described(const std::string& op, const std::string& text) {
  return parse(op, text).text;
}

}  // namespace

TEST_CASE("cases: text with defaults") {
  CHECK(described("attention", "seqlen=8192,heads=16,head_dim=128") ==
        "batch 1, seqlen 8192 x 8192, heads 16 / 16, head_dim 128, bf16");
  CHECK(described("attention",
                  "batch=2,seqlen_q=1,seqlen_k=99,heads=8,kv_heads=2,head_dim=64,head_dim_v=32,causal=true,"
                  "lse=true,dtype=f16") ==
        "batch 2, seqlen 1 x 99, heads 8 / 2, head_dim 64 / 32, causal, lse, f16");
  CHECK(described("rms_norm", "rows=3,hidden=4") == "rows 3, hidden 4, bf16");
  CHECK(described("rms_norm", "rows=3,hidden=4,weight=false,dtype=f32") ==
        "rows 3, hidden 4, no weight, f32");
}

TEST_CASE("cases: attention's features and storages") {
  const std::string heads = ",heads=4,head_dim=64";
  CHECK(described("attention", "lengths=5,17,3" + heads) ==
        "batch 3, seqlen 17 x 17, heads 4 / 4, head_dim 64, lengths_q 5 17 3, lengths_k 5 17 3, queries "
        "packed, keys packed, bf16");
  CHECK(described("attention", "lengths=5,17,3,seqlen=32,storage=padded" + heads) ==
        "batch 3, seqlen 32 x 32, heads 4 / 4, head_dim 64, lengths_q 5 17 3, lengths_k 5 17 3, queries "
        "padded, keys padded, bf16");
  CHECK(described("attention", "seqlen_q=1,lengths_k=40,7,page_size=16,batch_invariant=true" + heads) ==
        "batch 2, seqlen 1 x 40, heads 4 / 4, head_dim 64, lengths_k 40 7, keys paged by 16, batch "
        "invariant, bf16");
  CHECK(described("attention", "batch=2,seqlen=8,alibi=true,bias=1x1x1x8,sinks=true,window_left=3" + heads) ==
        "batch 2, seqlen 8 x 8, heads 4 / 4, head_dim 64, window_left 3, ALiBi, bias 1 x 1 x 1 x 8, sinks, "
        "bf16");
  // A range gives the same lengths every time, all within it.
  const std::string range = described("attention", "batch=50,lengths=16..20" + heads);
  CHECK_THAT(range, Contains(", lengths 16 to 20 and 16 to 20, queries packed"));
  CHECK(range == described("attention", "batch=50,lengths=16..20" + heads));
  CHECK(parse("attention", "batch=50,lengths=16..20" + heads).flops > 50.0 * 16 * 16 * 4 * 2 * 128);
  CHECK(parse("attention", "lengths=3,5" + heads).flops == 2.0 * 4 * (9 + 25) * 128);

  const auto refused = [&](const std::string& text) { parse("attention", text + heads); };
  CHECK_THROWS_WITH(refused("batch=2,lengths=5,17,3"), Contains("'batch'") && Contains("must be 3"));
  CHECK_THROWS_WITH(refused("lengths=5,17,lengths_k=1,2,3"),
                    Contains("'lengths_k'") && Contains("2 lengths"));
  CHECK_THROWS_WITH(refused("lengths=5,17,seqlen=16,storage=padded"),
                    Contains("at least the longest length, 17"));
  CHECK_THROWS_WITH(refused("lengths=5,17,storage=loose"), Contains("packed or padded"));
  CHECK_THROWS_WITH(refused("batch=2,lengths=9..3"), Contains("a range such as 16..2048"));
  CHECK_THROWS_WITH(refused("seqlen=8,bias=1x2"), Contains("four extents"));
}

TEST_CASE("cases: what is wrong is refused by name") {
  CHECK_THROWS_WITH(parse("attention", "seqlen=8"), Contains("must have 'heads'"));
  CHECK_THROWS_WITH(parse("attention", "heads=8,head_dim=8"), Contains("must have 'seqlen_q'"));
  CHECK_THROWS_WITH(parse("rms_norm", "rows=3,hidden=4,color=red"), Contains("has no 'color'"));
  CHECK_THROWS_WITH(parse("rms_norm", "rows=-3,hidden=4"), Contains("'rows'") && Contains("but is -3"));
  CHECK_THROWS_WITH(parse("rms_norm", "rows=3,hidden=4,weight=1"),
                    Contains("must be true or false, but is 1"));
  CHECK_THROWS_WITH(parse("rms_norm", "rows=3,hidden=4,dtype=fp8"),
                    Contains("f32, f16 or bf16, but is 'fp8'"));
  CHECK_THROWS_WITH(parse("rms_norm", "rows"), Contains("key=value"));
  CHECK_THROWS_WITH(find_operator("softmaxx"),
                    Contains("one of activation, activation_backward, ") && Contains("but is 'softmaxx'"));
  CHECK_THROWS_WITH(parse_case(find_operator("rms_norm"), nlohmann::ordered_json::array()),
                    Contains("must be an object"));
}

TEST_CASE("cases: files") {
  const auto path = std::filesystem::temp_directory_path() / "sprue_cases_test.json";
  const auto with = [&](const char* text) { std::ofstream(path) << text; };
  with(
      R"({"rms_norm": [{"rows": 2, "hidden": 8}, {"rows": 4, "hidden": 16, "dtype": "f16"}], "attention": []})");
  const auto cases = read_cases(find_operator("rms_norm"), path);
  REQUIRE(cases.size() == 2);
  CHECK(cases[1].text == "rows 4, hidden 16, f16");
  CHECK(read_cases(find_operator("attention"), path).empty());
  with("[1, 2]");
  CHECK_THROWS_AS(read_cases(find_operator("rms_norm"), path), TemplateError);
  with(R"({"rms_norm": [{"rows": 2}]})");
  CHECK_THROWS_WITH(read_cases(find_operator("rms_norm"), path),
                    StartsWith(path.string()) && Contains("must have 'hidden'"));
  std::filesystem::remove(path);
}

TEST_CASE("cases: there are defaults for each operator") {
  for (const Operator& op : operators()) {
    INFO(op.name);
    CHECK(default_cases(op).size() > 5);
  }
}

TEST_CASE("attention's operations count only what the mask leaves") {
  const std::string shape = "batch=2,seqlen=4,heads=3,head_dim=8,head_dim_v=16";
  CHECK(parse("attention", shape).flops == 2.0 * 2 * 3 * 16 * (8 + 16));
  CHECK(parse("attention", shape + ",causal=true").flops == 2.0 * 2 * 3 * 10 * (8 + 16));
}

}  // namespace sprue::tools
