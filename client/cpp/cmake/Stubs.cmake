# Makes the stubs from the protos at build time.

set(SENTINOVA_PROTO_DIR
    "${CMAKE_CURRENT_SOURCE_DIR}/../../protos"
    CACHE PATH "Folder of sentinova/v1/*.proto")
set(SENTINOVA_STUBS_DIR "${CMAKE_CURRENT_BINARY_DIR}/stubs")

# Debian has no package of google/rpc/*.proto. The Python package googleapis-common-protos has them, which the server
# needs too: an environment beside the protos is looked into first.
file(GLOB _environments "${SENTINOVA_PROTO_DIR}/../.venv/lib/python3*/site-packages")
find_path(
  SENTINOVA_GOOGLEAPIS_DIR google/rpc/error_details.proto
  HINTS ${_environments} "${CMAKE_BINARY_DIR}/googleapis"
  PATHS /usr/share /usr/share/googleapis
  DOC "Folder of google/rpc/status.proto and error_details.proto")
if(NOT SENTINOVA_GOOGLEAPIS_DIR)
  message(
    FATAL_ERROR "google/rpc/status.proto and error_details.proto are not here. Get them with\n"
                "    python3 -m pip install --target ${CMAKE_BINARY_DIR}/googleapis googleapis-common-protos\n"
                "  or name their folder with -DSENTINOVA_GOOGLEAPIS_DIR=FOLDER (which has google/rpc/ in it).")
endif()

# Adds an object library of the stubs; their headers are in SENTINOVA_STUBS_DIR.
function(sentinova_add_stubs target)
  set(sources "")
  foreach(proto google/rpc/status google/rpc/error_details sentinova/v1/sentiment_service sentinova/v1/model_service)
    set(outputs "${SENTINOVA_STUBS_DIR}/${proto}.pb.cc" "${SENTINOVA_STUBS_DIR}/${proto}.pb.h")
    set(options "--cpp_out=${SENTINOVA_STUBS_DIR}")
    set(folder "${SENTINOVA_GOOGLEAPIS_DIR}")
    if(proto MATCHES "^sentinova/")
      list(APPEND outputs "${SENTINOVA_STUBS_DIR}/${proto}.grpc.pb.cc" "${SENTINOVA_STUBS_DIR}/${proto}.grpc.pb.h")
      list(APPEND options "--grpc_out=${SENTINOVA_STUBS_DIR}" "--plugin=protoc-gen-grpc=${SENTINOVA_GRPC_PLUGIN}")
      set(folder "${SENTINOVA_PROTO_DIR}")
    endif()
    add_custom_command(
      OUTPUT ${outputs}
      COMMAND ${CMAKE_COMMAND} -E make_directory "${SENTINOVA_STUBS_DIR}"
      COMMAND ${Protobuf_PROTOC_EXECUTABLE} "-I${SENTINOVA_PROTO_DIR}" "-I${SENTINOVA_GOOGLEAPIS_DIR}"
              "-I${Protobuf_INCLUDE_DIRS}" ${options} "${proto}.proto"
      DEPENDS "${folder}/${proto}.proto"
      COMMENT "Making the stubs of ${proto}.proto"
      VERBATIM)
    list(APPEND sources ${outputs})
  endforeach()
  add_library(${target} OBJECT ${sources})
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_compile_features(${target} PRIVATE cxx_std_17)
  target_compile_options(${target} PRIVATE -w) # not ours to mend
  target_include_directories(${target} PRIVATE "${SENTINOVA_STUBS_DIR}")
  target_link_libraries(${target} PRIVATE gRPC::grpc++ protobuf::libprotobuf)
endfunction()
