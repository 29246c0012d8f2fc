// Man pages in roff, from the tables. `mlc man load | man -l -` shows one.
#pragma once

#include "command.h"

#include <string>

namespace mlc::cli {

/// mlc(1): all verbs, one section each.
std::string whole_man_page();
/// mlc-VERB(1).
std::string verb_man_page(const Command& command);

}  // namespace mlc::cli
