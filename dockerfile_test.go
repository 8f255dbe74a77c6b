package sallyport_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestImageHoldsOneStaticProgramAndNoRoot reads the Dockerfile, which cannot be built
// everywhere the tests run: the last stage starts from nothing, copies only what is named
// here, runs nothing while it is built, and does not run as root.
func TestImageHoldsOneStaticProgramAndNoRoot(t *testing.T) {
	stage := lastStage(t)
	if stage[0] != "FROM scratch" {
		t.Errorf("the image begins with %q, want FROM scratch: no shell, no package manager", stage[0])
	}
	var copied []string
	user, entry := "", ""
	for _, line := range stage[1:] {
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case "COPY":
			fields := strings.Fields(rest)
			if !slices.Contains(fields, "--from=build") {
				t.Errorf("%q copies from the source tree, which may hold anything", line)
			}
			copied = append(copied, fields[len(fields)-1])
		case "USER":
			user = rest
		case "ENTRYPOINT":
			entry = rest
		case "ENV", "VOLUME", "EXPOSE", "CMD":
		default:
			t.Errorf("%q has no place in the last stage", line)
		}
	}
	if want := []string{"/etc/ssl/certs/ca-certificates.crt", "/sallyport", "/state", "/tmp"}; !slices.Equal(copied, want) {
		t.Errorf("the image holds %v, want %v", copied, want)
	}
	if uid, _, _ := strings.Cut(user, ":"); uid == "" || uid == "0" || uid == "root" {
		t.Errorf("the image runs as %q, want a number that is not root's", user)
	}
	if entry != `["/sallyport"]` {
		t.Errorf("ENTRYPOINT is %s, want the program itself, in the form that needs no shell", entry)
	}
}

// TestImageProgramNeedsNoLoader builds the program with the Dockerfile's own command and looks
// for what an empty image could not give it: an interpreter or a shared library.
func TestImageProgramNeedsNoLoader(t *testing.T) {
	const command = "CGO_ENABLED=0 go build -trimpath -o "
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "RUN "+command+"/out/sallyport ./cmd/sallyport") {
		t.Fatalf("the Dockerfile does not build with %q", command)
	}
	program := filepath.Join(t.TempDir(), "sallyport")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", program, "./cmd/sallyport")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the program has a %v segment: it needs a loader", p.Type)
		}
	}
}

// lastStage returns the instructions of the Dockerfile from its last FROM on, one a line.
func lastStage(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	var stage []string
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "FROM "):
			stage = []string{line}
		default:
			stage = append(stage, line)
		}
	}
	if len(stage) == 0 {
		t.Fatal("the Dockerfile has no stage")
	}
	return stage
}
