#include "files/batch.h"

#include "catch.h"

#include <atomic>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>
#include <unistd.h>

namespace mlc::cli {
namespace {

namespace fs = std::filesystem;

// A folder of its own per test, removed at the end.
struct Folder {
  fs::path path;
  Folder() {
    std::string name = (fs::temp_directory_path() / "mlc-batch-XXXXXX").string();
    path = mkdtemp(name.data());
  }
  ~Folder() { fs::remove_all(path); }
  std::string make(const std::string& name) const {
    fs::create_directories((path / name).parent_path());
    std::ofstream(path / name) << name;
    return (path / name).string();
  }
  std::string operator/(const std::string& name) const { return (path / name).string(); }
};

std::string message_of(const Result<std::vector<FilePair>>& result) {
  return result.ok() ? "planned" : result.error().message();
}

TEST_CASE("one input goes to --output") {
  const Folder folder;
  const std::string input = folder.make("a.pt");
  WritingOptions options;
  options.output = folder / "b.pt";
  const auto files = plan_outputs({input}, options);
  REQUIRE(files.ok());
  REQUIRE(files->size() == 1);
  CHECK(files.value()[0].output == folder / "b.pt");
  CHECK_FALSE(files.value()[0].may_replace);
}

TEST_CASE("several inputs keep their names in --out-dir, which is made") {
  const Folder folder;
  WritingOptions options;
  options.out_dir = folder / "deep/out";
  const auto files =
      plan_outputs({folder.make("x/a.pt"), folder.make("b.tar.pt")}, options, ".safetensors");
  REQUIRE(files.ok());
  CHECK(files.value()[0].output == folder / "deep/out/a.safetensors");
  CHECK(files.value()[1].output == folder / "deep/out/b.tar.safetensors");
  CHECK(fs::is_directory(options.out_dir));
}

TEST_CASE("--dry-run makes no folder and needs no output") {
  const Folder folder;
  WritingOptions options;
  options.dry_run = true;
  const std::string input = folder.make("a.pt");
  REQUIRE(plan_outputs({input}, options).ok());
  options.out_dir = folder / "out";
  REQUIRE(plan_outputs({input}, options).ok());
  CHECK_FALSE(fs::exists(options.out_dir));
}

TEST_CASE("outputs are never guessed") {
  const Folder folder;
  const std::string a = folder.make("a.pt");
  const std::string b = folder.make("b.pt");
  WritingOptions options;
  CHECK(message_of(plan_outputs({a}, options)) == "no output is named");
  CHECK(message_of(plan_outputs({a, b}, options)) == "no output is named");
  options.output = folder / "c.pt";
  CHECK(message_of(plan_outputs({a, b}, options)) ==
        "--output names one file, but there are 2 inputs");
}

TEST_CASE("two inputs of one name are refused before any work") {
  const Folder folder;
  WritingOptions options;
  options.out_dir = folder / "out";
  const auto files = plan_outputs({folder.make("x/a.pt"), folder.make("y/a.pt")}, options);
  REQUIRE_FALSE(files.ok());
  CHECK(files.error().kind() == ErrorKind::usage);
  CHECK_THAT(files.error().message(), Catch::EndsWith("would both become \"a.pt\" in --out-dir"));
  CHECK_FALSE(fs::exists(options.out_dir));
  CHECK_FALSE(
      plan_outputs({folder.make("a.pt"), folder.make("a.bin")}, options, ".safetensors").ok());
}

TEST_CASE("an output that is an input is refused by identity, not by name") {
  const Folder folder;
  const std::string input = folder.make("a.pt");
  fs::create_hard_link(input, folder / "hard.pt");
  fs::create_symlink(input, folder / "soft.pt");
  WritingOptions options;
  options.force = true;
  for (const std::string& name :
       {std::string("a.pt"), std::string("hard.pt"), std::string("soft.pt")}) {
    INFO(name);
    options.output = folder / name;
    const auto files = plan_outputs({input}, options);
    REQUIRE_FALSE(files.ok());
    CHECK(files.error().kind() == ErrorKind::usage);
    CHECK(files.error().hint() == "--in-place replaces an input on purpose");
  }
  options.output.clear();
  options.out_dir = folder.path.string();
  CHECK_FALSE(plan_outputs({input}, options).ok());
  options.out_dir.clear();
  options.in_place = true;
  const auto files = plan_outputs({input}, options);
  REQUIRE(files.ok());
  CHECK(files.value()[0].output == input);
  CHECK(files.value()[0].may_replace);
  const auto twice = plan_outputs({input, folder / "hard.pt"}, options);
  REQUIRE_FALSE(twice.ok());
  CHECK_THAT(twice.error().message(),
             Catch::EndsWith("are one file, and --in-place would change it twice"));
}

// Runs a batch with standard output going to a file.
struct Harness {
  Folder folder;
  SharedOptions shared;
  BatchOptions batch;
  std::string out;

  Result<ExitCode> run(const std::vector<FilePair>& files, const FileFunction& function) {
    shared.quiet = true;
    Console console;
    console.configure(shared);
    Context context{console, null_reporter(), shared, {}};
    const int saved = dup(1);
    FILE* file = fopen((folder / "stdout").c_str(), "w+");
    dup2(fileno(file), 1);
    Result<ExitCode> code = run_files(context, files, batch, function);
    REQUIRE(console.out().flush().ok());
    dup2(saved, 1);
    close(saved);
    fclose(file);
    std::ifstream in(folder / "stdout");
    out.assign(std::istreambuf_iterator<char>(in), {});
    return code;
  }
};

TEST_CASE("lines come in the order of the inputs whatever finishes first") {
  Harness harness;
  harness.batch.jobs = 4;
  std::atomic<int> running{0};
  const auto code =
      harness.run(inputs_only({"a", "b", "c", "d"}), [&](FileTask& task) -> Result<FileReport> {
        ++running;
        if (task.input == "a") {
          while (running < 3) usleep(1000);
        }
        CHECK_FALSE(task.alone);
        return FileReport{ExitCode::done, "ok " + task.input};
      });
  REQUIRE(code.ok());
  CHECK(*code == ExitCode::done);
  CHECK(harness.out == "a: ok a\nb: ok b\nc: ok c\nd: ok d\n");
}

Result<FileReport> fail_on_b(FileTask& task) {
  if (task.input == "b") return corrupt("cut off");
  if (task.input == "c") return FileReport{ExitCode::no, "no"};
  if (task.json) {
    JsonWriter json(task.out, task.json_layout());
    json.begin_object();
    json.field("name", task.input);
    json.end_object();
  }
  return FileReport{ExitCode::done, "yes"};
}

TEST_CASE("the first error stops the batch, unless told to keep going") {
  Harness harness;
  harness.shared.json = true;
  auto code = harness.run(inputs_only({"a", "b", "c", "d"}), fail_on_b);
  REQUIRE(code.ok());
  CHECK(*code == ExitCode::input);
  auto json = nlohmann::json::parse(harness.out);
  CHECK(json["schema"] == "mlc.batch/1");
  REQUIRE(json["results"].size() == 2);
  CHECK(json["results"][0]["result"]["name"] == "a");
  CHECK(json["results"][1]["error"]["kind"] == "corrupt");
  CHECK(json["results"][1]["error"]["file"] == "b");
  CHECK(json["not_begun"] == 2);

  harness.batch.keep_going = true;
  code = harness.run(inputs_only({"a", "b", "c", "d"}), fail_on_b);
  REQUIRE(code.ok());
  CHECK(*code == ExitCode::input);
  json = nlohmann::json::parse(harness.out);
  REQUIRE(json["results"].size() == 4);
  CHECK(json["results"][2]["exit_code"] == 1);
  CHECK(json["results"][3]["exit_code"] == 0);
  CHECK(json["failed"] == 1);
}

TEST_CASE("an answer of no stops nothing") {
  Harness harness;
  const auto code = harness.run(inputs_only({"c", "a"}), fail_on_b);
  REQUIRE(code.ok());
  CHECK(*code == ExitCode::no);
  CHECK(harness.out == "c: no\na: yes\n");
}

TEST_CASE("an existing output fails its file before it is read") {
  Harness harness;
  const std::string existing = harness.folder.make("there.pt");
  const auto function = [](FileTask&) -> Result<FileReport> {
    FAIL("must not be called");
    return FileReport{};
  };
  const auto single = harness.run({{"a", existing, false}}, function);
  REQUIRE_FALSE(single.ok());
  CHECK(single.error().kind() == ErrorKind::exists);
  CHECK(single.error().file() == existing);
  harness.shared.json = true;
  const auto code = harness.run({{"a", existing, false}, {"b", existing, false}}, function);
  REQUIRE(code.ok());
  CHECK(*code == ExitCode::output);
}

TEST_CASE("an exception in a worker is an internal error of its file") {
  Harness harness;
  harness.shared.json = true;
  harness.batch.jobs = 2;
  const auto code = harness.run(inputs_only({"a", "b"}), [](FileTask&) -> Result<FileReport> {
    throw std::runtime_error("foreign");
  });
  REQUIRE(code.ok());
  CHECK(*code == ExitCode::internal);
}

}  // namespace
}  // namespace mlc::cli
