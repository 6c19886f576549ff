# Finds gRPC, protobuf and their code generators, or says which packages have them.

set(_missing "")

find_package(Threads QUIET)
find_package(Protobuf QUIET)
if(NOT Protobuf_FOUND)
  list(APPEND _missing "protobuf: libprotobuf-dev")
endif()
if(NOT Protobuf_PROTOC_EXECUTABLE)
  list(APPEND _missing "protoc: protobuf-compiler")
endif()
find_package(gRPC CONFIG QUIET)
if(NOT gRPC_FOUND)
  list(APPEND _missing "gRPC for C++: libgrpc++-dev")
endif()
find_program(SENTINOVA_GRPC_PLUGIN grpc_cpp_plugin DOC "protoc's plugin for gRPC in C++")
if(NOT SENTINOVA_GRPC_PLUGIN)
  list(APPEND _missing "grpc_cpp_plugin: protobuf-compiler-grpc")
endif()

if(_missing)
  list(JOIN _missing "\n    " _missing)
  message(
    FATAL_ERROR
      "The C++ client needs gRPC, which is not (all) here:\n    ${_missing}\n"
      "  On Debian and Ubuntu, the names after the colons are packages:\n"
      "    apt-get install libgrpc++-dev protobuf-compiler-grpc libprotobuf-dev protobuf-compiler")
endif()
