// Manifest: what may be asked of one kernel template. kernel_templates/README.md describes the JSON.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/expression.h"
#include "codegen/store.h"
#include "core/architecture.h"
#include "core/values.h"

namespace sprue::codegen {

/// One `${NAME}` of a template and its legal values.
struct Parameter {
  enum class Kind { boolean, integer, choice };
  std::string name;
  Kind kind = Kind::boolean;
  std::vector<Value> values;  ///< The legal values, in the order written; empty: `minimum` to `maximum`.
  std::int64_t minimum = 0, maximum = 0, multiple = 1;
  std::optional<Value> fallback;  ///< "default": used when a spec does not name the parameter.
  std::string doc;

  bool admits(const Value& value) const;
  std::string legal_values() const;  ///< "f16 or bf16", "a multiple of 8 from 8 to 256"
  /// The value that a person typed, such as "128", "true" or "bf16"; ArgumentError unless it is a legal one.
  Value parse(std::string_view text) const;
};

/// A rule that a spec must satisfy, with the reason that is shown when it does not.
struct Rule {
  Expression condition;
  std::string reason;
};

/// A schedule for the problems and architectures that `when` and `architectures` admit.
struct ScheduleRow {
  std::optional<Expression> when;  ///< Over problem parameters, SM and SHARED_BYTES_LIMIT; absent: always.
  std::vector<std::string> architectures;  ///< "sm_90", "sm_90a"; empty: all.
  Values schedule;                         ///< Complete.
  std::string measured;                    ///< Provenance, as written; empty when nobody measured it.
};

struct Manifest {
  std::string kernel;     ///< "attention_portable": the file is <family>/<kernel>.json beside <kernel>.cu.
  std::string family;     ///< "attention"
  std::string operation;  ///< "attention": the operator that uses this kernel.
  std::string summary;
  std::vector<std::string> architectures;  ///< Every architecture the kernel is built for in CI.
  std::vector<Parameter> problem, schedule;
  std::vector<Rule> rules;
  std::vector<ScheduleRow> defaults;  ///< First match wins. The last row matches everything that is legal.
  Expression threads, shared_bytes, rows_per_block;
  Expression blocks_per_row, columns_per_tile;  ///< Empty: 1.
  Expression walks, programmatic;               ///< Empty: false.

  std::string template_path() const { return family + '/' + kernel + ".cu"; }
  const Parameter* find(std::string_view parameter) const;
};

/// Parses and checks one manifest; TemplateError with line and column for bad JSON, unknown keys and names.
Manifest parse_manifest(std::string_view path, std::string_view json);

/// Every manifest of the store, by kernel name: each <family>/<kernel>.json, except those below tuned/.
std::vector<Manifest> manifests(const TemplateStore& store);
/// ArgumentError that lists the known kernels if there is none of that name.
Manifest manifest(const TemplateStore& store, std::string_view kernel);

/// Whether a list such as {"sm_80", "sm_90a"} names `arch`: "sm_90" admits sm_90 and sm_90a, "sm_90a" only
/// itself, and an empty list everything.
bool admits(const std::vector<std::string>& architectures, const Architecture& arch);

/// The problem, checked and completed by fallbacks. ArgumentError: unknown, missing or illegal values, by
/// name, and broken rules that concern the problem alone.
Values complete_problem(const Manifest& manifest, const Values& problem);
/// The first row of `manifest.defaults` that a complete problem meets on an architecture.
const ScheduleRow& default_row(const Manifest& manifest, const Values& problem, const Architecture& arch);
/// That row's schedule.
Values default_schedule(const Manifest& manifest, const Values& problem, const Architecture& arch);
/// Why a value of the spec is unknown, missing or illegal by itself; empty when none is.
std::string why_illegal_values(const Manifest& manifest, const KernelSpec& spec);
/// Why the spec breaks a rule or has an illegal value on this architecture; empty when it is legal.
std::string why_illegal(const Manifest& manifest, const KernelSpec& spec, const Architecture& arch);
/// The values of the "launch" expressions for a complete spec; TemplateError for a number no launch can have.
LaunchShape launch_shape(const Manifest& manifest, const KernelSpec& spec);
/// Every legal schedule of the product of the schedule parameters' values, in a fixed order. TemplateError if
/// the product is too big to search.
std::vector<Values> legal_schedules(const Manifest& manifest, const Values& problem,
                                    const Architecture& arch);
/// A spec that is complete and legal: problem completed, schedule from `schedule` where given, else from
/// `defaults`. ArgumentError otherwise.
KernelSpec complete_spec(const Manifest& manifest, const Values& problem, const Values& schedule,
                         const Architecture& arch);

}  // namespace sprue::codegen
