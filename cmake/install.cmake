# The install rules: headers, both libraries, the command, and the package that find_package(sprue) finds.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/sprue)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/src/include/sprue DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
set_target_properties(sprue_shared PROPERTIES EXPORT_NAME shared)
install(TARGETS sprue sprue_shared EXPORT sprueTargets
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT sprueTargets NAMESPACE sprue:: DESTINATION ${package_dir})
if(TARGET sprue_tool)
  install(TARGETS sprue_tool)
endif()

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/sprueConfig.cmake.in ${PROJECT_BINARY_DIR}/sprueConfig.cmake
  INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/sprueConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/sprueConfig.cmake ${PROJECT_BINARY_DIR}/sprueConfigVersion.cmake
  DESTINATION ${package_dir})
