package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport/gateway/egress"
)

func (s *Server) checkStdio(at string, p *problems) {
	s.refuse(at, p, keysOfHTTP,
		"is for servers with a url (type: http), and this one is a command; its secrets go into envFrom")
	if s.Command == "" {
		p.key(at+".command", "is missing: the program that is the server")
	}
	for i, arg := range append([]string{s.Command}, s.Args...) {
		if strings.ContainsRune(arg, 0) {
			p.key(at+".args", "the argument %d holds a NUL, which no program could read", i)
		}
	}
	s.checkEnv(at, p)
	if !slices.Contains([]string{"grant", "principal", "shared"}, s.Instance) {
		p.key(at+".instance", "%s", unknownWord(s.Instance, "grant", "principal", "shared"))
	}
	s.Sandbox.check(at+".sandbox", p)
}

// unknownWord says which words there are, and which was probably meant.
func unknownWord(word string, known ...string) string {
	text := fmt.Sprintf("unknown %q; known are %s", word, strings.Join(known, ", "))
	if near := nearest(word, known); near != "" {
		text += "; did you mean " + near + "?"
	}
	return text
}

func (s *Server) checkEnv(at string, p *problems) {
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if !isVariable(name) {
			p.key(at+".env."+name, "is no name of a variable: letters, digits and '_', and no digit in front")
		} else if strings.ContainsRune(s.Env[name], 0) {
			p.key(at+".env."+name, "its value holds a NUL, which no environment can")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.EnvFrom)) {
		key := at + ".envFrom." + name
		if !isVariable(name) {
			p.key(key, "is no name of a variable: letters, digits and '_', and no digit in front")
		}
		if _, both := s.Env[name]; both {
			p.key(key, "is in env as well; use one of the two")
		}
		s.checkEnvCredential(key, s.EnvFrom[name], p)
	}
}

func (b *Sandbox) check(at string, p *problems) {
	switch b.Type {
	case sandboxProcess:
	case sandboxContainer:
		if b.Image == "" {
			p.key(at+".image", "is missing: the image that the container is made from, as in sandbox: {type: container, image: …}")
		}
		for key, given := range map[string]bool{"egress": len(b.Egress) > 0, "profile": b.Profile != profileNone} {
			if given {
				p.key(at+"."+key, "a container has no network, since the gateway could not filter it; take it out, and put the packages into the image")
			}
		}
		for key, paths := range map[string][]string{"read": b.Read, "write": b.Write} {
			for i, path := range paths {
				if strings.ContainsAny(path, ",\"") {
					p.key(fmt.Sprintf("%s.%s.%d", at, key, i), "a container's runtime cannot be told a path with a comma or a quote in it")
				}
			}
		}
		if b.Runtime != "" && b.Runtime != "podman" && b.Runtime != "docker" {
			p.key(at+".runtime", "%s", unknownWord(b.Runtime, "podman", "docker"))
		}
	case sandboxNone:
		for _, key := range []string{"read", "write", "egress", "profile", "memory", "processes", "files", "cpuTime", "tmp", "fileSize"} {
			if _, given := p.at[at+"."+key]; given {
				p.key(at+"."+key, "nothing would hold the program to it, since there is no sandbox; take one of the two out")
			}
		}
	default:
		p.key(at, "%s", unknownWord(b.Type, sandboxProcess, sandboxContainer, sandboxNone))
		return
	}
	if b.Type != sandboxContainer {
		for _, key := range []string{"image", "runtime"} {
			if _, given := p.at[at+"."+key]; given {
				p.key(at+"."+key, "is for sandbox type container")
			}
		}
	}
	if b.Profile != profilePackages && b.Profile != profileNone {
		p.key(at+".profile", "%s", unknownWord(b.Profile, profilePackages, profileNone))
	}
	for i, entry := range b.Egress {
		if _, err := egress.ParseRules([]string{entry}); err != nil {
			p.key(fmt.Sprintf("%s.egress.%d", at, i), "%s", strings.TrimPrefix(err.Error(), "egress "))
		}
	}
	for key, paths := range map[string][]string{"read": b.Read, "write": b.Write} {
		for i, path := range paths {
			switch at := fmt.Sprintf("%s.%s.%d", at, key, i); {
			case path == "":
				p.key(at, "is empty; name a file or a directory")
			case strings.HasSuffix(path, "/~") || strings.Contains(path, "/~/"):
				p.key(at, "~ is a shell's word; write ${HOME}")
			}
		}
	}
}
