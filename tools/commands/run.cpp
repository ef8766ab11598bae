// sprue run: an operator on NumPy files or random input; its time and, on request, a check against the CPU.
#include "command.h"
#include "commands/run_operator.h"

namespace sprue::tools {

void setup_run(CLI::App& app) {
  CLI::App& command = add_command(
      app, "run", "Run an operator on NumPy files or random input",
      "  sprue run attention --q q.npy --k k.npy --v v.npy --out o.npy --causal --dtype bf16\n"
      "  sprue run rms_norm --x x.npy --weight w.npy --out y.npy\n"
      "  sprue run attention --random 2x4096x16x128 --kv-heads 4 --window-left 1024 --causal --check\n"
      "Files may be float16, float32, float64, and bfloat16 as '<V2' or '<u2'; bf16 is written as\n"
      "'<V2', which ml_dtypes reads: numpy.load(\"o.npy\").view(ml_dtypes.bfloat16)\n");
  command.require_subcommand(1);
  for (const Operator& op : operators()) setup_run_operator(command, op);
}

}  // namespace sprue::tools
