# Installs the build into an empty prefix, builds project/ against it with find_package(sprue), and runs what it made.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "'${command}' ended with ${result}:\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${WORK_DIR}/prefix)

# The README's example: the C++ block after the line <!-- example -->.
file(READ ${README} readme)
string(FIND "${readme}" "<!-- example -->\n```cpp\n" begin)
if(begin EQUAL -1)
  message(FATAL_ERROR "${README} has no C++ block after a line '<!-- example -->'")
endif()
string(SUBSTRING "${readme}" ${begin} -1 example)
string(REPLACE "<!-- example -->\n```cpp\n" "" example "${example}")
string(FIND "${example}" "\n```" end)
string(SUBSTRING "${example}" 0 ${end} example)
file(WRITE ${WORK_DIR}/readme_example.cpp "${example}\n")

run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR}/project -B ${WORK_DIR}/build -G ${GENERATOR}
  -D CMAKE_PREFIX_PATH=${WORK_DIR}/prefix -D CMAKE_C_COMPILER=${C_COMPILER} -D CMAKE_CXX_COMPILER=${CXX_COMPILER}
  -D README_EXAMPLE=${WORK_DIR}/readme_example.cpp)
run(${CMAKE_COMMAND} --build ${WORK_DIR}/build)
foreach(program cpp_static cpp_shared c_static c_shared)
  run(${WORK_DIR}/build/${program})
  message("${program}: ${output}")
endforeach()

file(GLOB command ${WORK_DIR}/prefix/bin/sprue)
if(command)
  run(${command} --version)
  message("sprue --version: ${output}")
endif()
