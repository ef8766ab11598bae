# cmake -DROOT=<kernel_templates> -DFILES=<a.cu,b.json> -DOUTPUT=<embedded.cpp> -P embed_templates.cmake
# Writes the C++ file that defines sprue::codegen::embedded_texts(): every file, as raw string literals of whole lines.
set(chunk_bytes 16000)  # compilers must accept 65536; some warn far below
string(REPLACE "," ";" files "${FILES}")

set(rows "")
foreach(file IN LISTS files)
  file(READ "${ROOT}/${file}" text)
  string(FIND "${text}" ")sprue~\"" clash)
  if(NOT clash EQUAL -1)
    message(FATAL_ERROR "${ROOT}/${file} contains )sprue~\", which ends the raw string that embeds it")
  endif()
  string(LENGTH "${text}" left)
  while(left GREATER 0)
    string(SUBSTRING "${text}" 0 ${chunk_bytes} chunk)
    if(left GREATER chunk_bytes)  # cut behind the last whole line, so that no UTF-8 character is torn
      string(FIND "${chunk}" "\n" newline REVERSE)
      if(newline EQUAL -1)
        message(FATAL_ERROR "${ROOT}/${file} has a line of more than ${chunk_bytes} bytes")
      endif()
      math(EXPR size "${newline} + 1")
      string(SUBSTRING "${text}" 0 ${size} chunk)
    endif()
    string(APPEND rows "    {R\"sprue~(${file})sprue~\", R\"sprue~(${chunk})sprue~\"},\n")
    string(LENGTH "${chunk}" size)
    string(SUBSTRING "${text}" ${size} -1 text)
    string(LENGTH "${text}" left)
  endwhile()
endforeach()

file(WRITE "${OUTPUT}" "// Generated from kernel_templates/ by cmake/embed_templates.cmake.
#include \"codegen/embedded.h\"

namespace sprue::codegen {
namespace {

constexpr EmbeddedText kTexts[] = {
${rows}    {nullptr, nullptr},
};

}  // namespace

std::span<const EmbeddedText> embedded_texts() { return std::span(kTexts).first(std::size(kTexts) - 1); }

}  // namespace sprue::codegen
")
