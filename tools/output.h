// What commands write: results to standard output or a file, remarks to standard error.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace sprue::tools {

/// To standard output.
void put(std::string_view text);
void put_json(const nlohmann::ordered_json& json);

/// One line to standard error.
void remark(std::string_view text);

/// Flushes standard output; an exception if something could not be written, unless the reader has gone.
void finish_output();

/// "-" is standard output. ArgumentError if the file cannot be written.
void write_file(const std::filesystem::path& file, std::string_view bytes);
/// ArgumentError if the file cannot be read.
std::string read_file(const std::filesystem::path& file);

bool is_terminal(int descriptor);
/// Columns to lay text out for: those of the terminal, from 60 to 160; 100 where there is none.
int text_width(int descriptor = 1);

/// "512 B", "1.5 MiB"
std::string size_text(std::uint64_t bytes);
/// "2026-01-31 12:00", local time.
std::string time_text(std::chrono::system_clock::time_point time);

}  // namespace sprue::tools
