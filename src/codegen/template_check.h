// check_template: a template with everything that it includes, every name in it checked against the manifest.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "codegen/manifest.h"
#include "codegen/store.h"
#include "codegen/template.h"

namespace sprue::codegen {

/// Path → parsed text, of the template and of every header that it may include.
using TemplateFiles = std::map<std::string, std::vector<TemplateNode>, std::less<>>;

/// TemplateError for an unknown or unused name, a ${NAME} outside its block, an include that is missing or
/// that is a cycle, also in branches that no spec takes.
TemplateFiles check_template(const TemplateStore& store, const Manifest& manifest);

}  // namespace sprue::codegen
