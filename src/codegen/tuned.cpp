// Tuned schedules: reading, writing, merging, and the choice of a row.
#include "codegen/tuned.h"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/json.h"
#include "codegen/manifest.h"
#include "codegen/text_file.h"
#include "sprue/error.h"

namespace sprue::codegen {
namespace {

namespace fs = std::filesystem;

Measurement read_measurement(const Json& json) {
  json.with_keys({"device", "driver", "nvrtc", "date", "median_us"});
  const auto text = [&](const char* key) {
    const Json* member = json.find(key);
    return member == nullptr ? std::string() : member->as_string();
  };
  Measurement measured{text("device"), text("driver"), text("nvrtc"), text("date")};
  if (const Json* median = json.find("median_us")) measured.median_us = median->as_number();
  return measured;
}

Json to_json(const Measurement& measured) {
  Json json = Json::of(Json::Kind::object);
  json.add("device", Json::of(measured.device)).add("driver", Json::of(measured.driver));
  json.add("nvrtc", Json::of(measured.nvrtc)).add("date", Json::of(measured.date));
  return json.add("median_us", Json(measured.median_us));
}

bool fits(const TunedRow& row, std::string_view kernel, const Values& problem, const Architecture& arch) {
  if (row.kernel != kernel || !admits(row.architectures, arch)) return false;
  return std::all_of(row.problem.begin(), row.problem.end(), [&](const auto& wanted) {
    const auto it = problem.find(wanted.first);
    return it != problem.end() && it->second == wanted.second;
  });
}

bool more_specific(const TunedRow& a, const TunedRow& b) {
  if (a.problem.size() != b.problem.size()) return a.problem.size() > b.problem.size();
  return !a.architectures.empty() && b.architectures.empty();
}

}  // namespace

std::vector<TunedRow> parse_tuned(std::string_view path, std::string_view text) {
  const Json json = parse_json(path, text);
  std::vector<TunedRow> rows;
  for (const Json& item : json.with_keys({"tuned"}).at("tuned").as_array()) {
    item.with_keys({"kernel", "problem", "architectures", "schedule", "measured"});
    TunedRow row;
    row.kernel = item.at("kernel").as_string();
    if (const Json* problem = item.find("problem")) row.problem = problem->as_values();
    if (const Json* architectures = item.find("architectures"))
      row.architectures = architectures->as_architectures();
    row.schedule = item.at("schedule").as_values();
    if (const Json* measured = item.find("measured")) row.measured = read_measurement(*measured);
    row.origin = fmt::format("{}:{}", path, item.line);
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string print_tuned(const std::vector<TunedRow>& rows) {
  Json list = Json::of(Json::Kind::array);
  for (const TunedRow& row : rows) {
    Json item = Json::of(Json::Kind::object);
    item.add("kernel", Json::of(row.kernel)).add("problem", Json(row.problem));
    if (!row.architectures.empty()) item.add("architectures", Json(row.architectures));
    item.add("schedule", Json(row.schedule));
    if (row.measured != Measurement()) item.add("measured", to_json(row.measured));
    list.items.push_back(std::move(item));
  }
  return print_json(Json::of(Json::Kind::object).add("tuned", std::move(list)));
}

void merge_tuned(std::vector<TunedRow>& rows, const std::vector<TunedRow>& newer) {
  for (const TunedRow& row : newer) {
    const auto same = std::find_if(rows.begin(), rows.end(), [&](const TunedRow& old) {
      return old.kernel == row.kernel && old.problem == row.problem && old.architectures == row.architectures;
    });
    if (same == rows.end()) {
      rows.push_back(row);
    } else {
      *same = row;
    }
  }
}

std::vector<TunedRow> read_tuned(const fs::path& file) {
  const auto text = read_text_file(file);
  return text ? parse_tuned(file.string(), *text) : std::vector<TunedRow>();
}

void write_tuned(const fs::path& file, const std::vector<TunedRow>& rows) {
  write_text_file(file, print_tuned(rows));
}

TunedTable TunedTable::load(const TemplateStore& store, const std::vector<fs::path>& paths) {
  TunedTable table;
  for (const std::string& path : store.paths()) {
    if (path.starts_with("tuned/") && path.ends_with(".json"))
      table.add(parse_tuned(path, *store.find(path)));
  }
  for (const fs::path& path : paths) {
    std::error_code error;
    std::vector<fs::path> files;
    if (fs::is_directory(path, error)) {
      for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
        if (it->path().extension() == ".json") files.push_back(it->path());
      }
      if (error) throw ArgumentError(fmt::format("{} cannot be read: {}", path.string(), error.message()));
      std::sort(files.begin(), files.end());
    } else if (fs::exists(path, error)) {
      files.push_back(path);
    } else {
      throw ArgumentError(fmt::format(
          "tuned schedules must be JSON files or directories of them, but {} does not exist", path.string()));
    }
    for (const fs::path& file : files) table.add(read_tuned(file));
  }
  return table;
}

void TunedTable::add(std::vector<TunedRow> file) {
  files_.push_back(std::move(file));
}

const TunedRow* TunedTable::find(std::string_view kernel, const Values& problem,
                                 const Architecture& arch) const {
  for (auto file = files_.rbegin(); file != files_.rend(); ++file) {
    const TunedRow* best = nullptr;
    for (const TunedRow& row : *file) {
      if (fits(row, kernel, problem, arch) && (best == nullptr || !more_specific(*best, row))) best = &row;
    }
    if (best != nullptr) return best;
  }
  return nullptr;
}

}  // namespace sprue::codegen
