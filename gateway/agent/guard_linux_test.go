package agent_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/gateway/agent"
)

// repo makes the project a repository with one commit.
func (p *person) repo(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(p.project, ".git")); err != nil {
		t.Fatal(err)
	}
	p.git(t, "init", "-q", ".")
	p.git(t, "add", "README")
	p.git(t, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "one")
}

// git runs git as the person does, outside.
func (p *person) git(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = p.project, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.home, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v: %s", args, err, out)
	}
	return string(out)
}

// evil is a configuration whose command leaves a trace when git looks at the folder.
const evil = `printf '[core]\nrepositoryformatversion = 0\nfsmonitor = "touch '$OWNED'; false"\n'`

// TestGitOutsideRunsNothingOfARepositoryFromTheBox tries ways that lead around .git/config, while the
// box is there and after.
func TestGitOutsideRunsNothingOfARepositoryFromTheBox(t *testing.T) {
	for name, script := range map[string]string{
		"commondir":       `mkdir evil; cp -r .git/refs .git/objects evil/; ` + evil + ` > evil/config; echo ../evil > .git/commondir`,
		"commondir moved": `mkdir evil; cp -r .git/refs .git/objects evil/; ` + evil + ` > evil/config; echo ../evil > x; mv -f x .git/commondir; rm -f .git/commondir; echo ../evil > .git/commondir`,
		"worktree config": evil + ` > .git/config.worktree`,
		"included":        evil + ` > more.config`,
		"hooks elsewhere": `echo 'touch $OWNED' > .githooks/post-index-change; chmod +x .githooks/post-index-change`,
		"module":          evil + ` > .git/modules/m/config`,
	} {
		t.Run(name, func(t *testing.T) {
			p := newPerson(t, script)
			p.repo(t)
			owned := filepath.Join(p.home, "owned")
			put(t, p.project, "more.config", "[core]\n")
			put(t, p.project, ".githooks/x", "")
			put(t, p.project, ".git/modules/m/config", "[core]\n")
			p.git(t, "config", "extensions.worktreeConfig", "true")
			p.git(t, "config", "include.path", "../more.config")
			p.git(t, "config", "core.hooksPath", ".githooks")
			p.config.Set = map[string]string{"OWNED": owned}
			out, _, _ := p.run(t)
			p.git(t, "status")
			p.git(t, "--git-dir=.git/modules/m", "config", "-l")
			if _, err := os.Stat(owned); err == nil {
				t.Errorf("git ran a command of the box\n%s", out)
			}
			for file, want := range map[string]string{".git/modules/m/config": "[core]\n", "more.config": "[core]\n", ".git/config.worktree": "", ".githooks/post-index-change": ""} {
				if got, _ := os.ReadFile(filepath.Join(p.project, file)); string(got) != want {
					t.Errorf("%s holds %q, want %q", file, got, want)
				}
			}
		})
	}
}

// TestTheFileThatNamesARepositoryIsGuarded is about worktrees and submodules, whose .git is a file.
func TestTheFileThatNamesARepositoryIsGuarded(t *testing.T) {
	p := newPerson(t, `echo 'gitdir: evil' > .git; mv .git x; rm -f .git`)
	if err := os.RemoveAll(filepath.Join(p.project, ".git")); err != nil {
		t.Fatal(err)
	}
	put(t, p.project, ".git", "gitdir: /elsewhere\n")
	out, _, _ := p.run(t)
	if got, _ := os.ReadFile(filepath.Join(p.project, ".git")); string(got) != "gitdir: /elsewhere\n" {
		t.Errorf(".git holds %q\n%s", got, out)
	}
}

// TestGitWorksInTheBox commits, branches and merges, and leaves nothing of the guards behind.
func TestGitWorksInTheBox(t *testing.T) {
	p := newPerson(t, `set -e; git checkout -qb b; echo two > README; git commit -qam two; git checkout -q -; git merge -q --no-ff -m three b; git gc -q; git stash list; git log --format=%s -1`)
	p.repo(t)
	p.config.Set = map[string]string{"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
	out, _, err := p.run(t)
	if err != nil || out != "three\n" {
		t.Errorf("%v: %s", err, out)
	}
	if got := p.git(t, "log", "--format=%s", "-1"); got != "three\n" {
		t.Errorf("outside the last commit is %q", got)
	}
	if _, err := os.Lstat(filepath.Join(p.project, ".git", "commondir")); err == nil {
		t.Error("commondir is left")
	}
}

// TestABoxLeavesTheGuardOfAnother closes one of two boxes of a folder.
func TestABoxLeavesTheGuardOfAnother(t *testing.T) {
	p := newPerson(t, "true")
	p.repo(t)
	var boxes []*agent.Box
	for range 2 {
		b, err := agent.NewBox(p.config)
		if err != nil {
			t.Fatal(err)
		}
		boxes = append(boxes, b)
	}
	for i, want := range []bool{true, false} {
		if err := boxes[i].Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(filepath.Join(p.project, ".git", "commondir")); (err == nil) != want {
			t.Errorf("after %d boxes are closed commondir is there: %v, want %v", i+1, err == nil, want)
		}
	}
}

// TestWhatAnAgentLeavesThatRunsByItselfIsNamed has it make what was not there to be guarded.
func TestWhatAnAgentLeavesThatRunsByItselfIsNamed(t *testing.T) {
	p := newPerson(t, `mkdir -p .git sub/.git/hooks bare/objects .claude .vscode; `+evil+` > .git/config; echo x > sub/.git/hooks/pre-commit; echo x > sub/.git/hooks/a.sample
		echo x > bare/HEAD; echo x > bare/config; echo 'gitdir: bare' > file; mkdir w; mv file w/.git; ln -s bare link; echo x > .envrc; echo x > .claude/settings.json; echo x > .vscode/tasks.json; echo x > fine; printf 'evil' > old/.mcp.json`)
	if err := os.RemoveAll(filepath.Join(p.project, ".git")); err != nil {
		t.Fatal(err)
	}
	put(t, p.project, "old/.mcp.json", "{}")
	put(t, p.project, "same/.envrc", "mine")
	b, out := p.box(t)
	var names []string
	for _, line := range b.Left() {
		names = append(names, strings.Split(line, `"`)[1])
	}
	const want = ".claude/settings.json .envrc .git/config .vscode/tasks.json bare/config old/.mcp.json sub/.git/hooks/pre-commit w/.git"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("named: %s\nwant:  %s\n%s", got, want, out)
	}
	if got, want := b.Left()[2], `the agent left ".git/config", which git obeys; look at it before you use git here`; got != want {
		t.Errorf("it says %s\nwant    %s", got, want)
	}
}
