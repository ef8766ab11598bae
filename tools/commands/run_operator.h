// sprue run OPERATOR: options from its keys and tensors, one call, its check, its time.
#pragma once

#include "command.h"
#include "operators/operator.h"

namespace sprue::tools {

void setup_run_operator(CLI::App& run, const Operator& op);

}  // namespace sprue::tools
