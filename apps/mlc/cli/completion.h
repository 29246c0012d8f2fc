// Shell completion scripts, from the tables.
#pragma once

#include <string>

namespace mlc::cli {

/// Scripts to be sourced by the shell; they call nothing, so completing costs no process.
std::string bash_completion();
std::string zsh_completion();
std::string fish_completion();

}  // namespace mlc::cli
