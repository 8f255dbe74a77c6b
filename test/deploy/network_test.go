package deploy

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

// object is what these tests read of a manifest.
type object struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Data     map[string]string
	Spec     struct {
		PodSelector     selector `yaml:"podSelector"`
		PolicyTypes     []string `yaml:"policyTypes"`
		Ingress, Egress []rule
		Replicas        int
		Template        struct {
			Metadata struct{ Labels map[string]string }
			Spec     podSpec
		}
	}
}

type selector struct {
	MatchLabels map[string]string `yaml:"matchLabels"`
}

type rule struct {
	From, To []peer
	Ports    []struct{ Port int }
}

type peer struct {
	PodSelector, NamespaceSelector *selector
}

func (p *peer) UnmarshalYAML(n *yaml.Node) error {
	var v struct {
		Pod       *selector `yaml:"podSelector"`
		Namespace *selector `yaml:"namespaceSelector"`
	}
	err := n.Decode(&v)
	p.PodSelector, p.NamespaceSelector = v.Pod, v.Namespace
	return err
}

// manifests are the objects of a plain manifest: the chart's (TestPlainManifestsAreTheChart), and there
// without helm.
func manifests(t *testing.T, form string) []object {
	t.Helper()
	return objects(t, read(t, filepath.Join(examples, "kubernetes", form+".yaml")))
}

func objects(t *testing.T, text string) []object {
	t.Helper()
	var all []object
	d := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	for {
		var o object
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
}

// pod is one end of a connection.
type pod struct {
	name, namespace string
	labels          map[string]string
}

func (s *selector) holds(labels map[string]string) bool {
	for k, v := range s.MatchLabels {
		if labels[k] != v {
			return false
		}
	}
	return true
}

// among reports whether other is one of peers, for a policy in namespace. No peers are everybody.
func among(peers []peer, other pod, namespace string) bool {
	return len(peers) == 0 || slices.ContainsFunc(peers, func(p peer) bool {
		there := other.namespace == namespace
		if p.NamespaceSelector != nil {
			there = p.NamespaceSelector.holds(map[string]string{"kubernetes.io/metadata.name": other.namespace})
		}
		return there && (p.PodSelector == nil || p.PodSelector.holds(other.labels))
	})
}

// open reports whether the policies of all let at speak to other in one direction: a pod that no policy
// of that direction selects is open, one that some select needs one of them to say yes.
func open(all []object, direction string, at, other pod, port int) bool {
	selected, yes := false, false
	for _, o := range all {
		if o.Kind != "NetworkPolicy" || o.Metadata.Namespace != at.namespace || !o.Spec.PodSelector.holds(at.labels) || !slices.Contains(o.Spec.PolicyTypes, direction) {
			continue
		}
		selected = true
		rules := o.Spec.Egress
		if direction == "Ingress" {
			rules = o.Spec.Ingress
		}
		for _, r := range rules {
			peers := r.To
			if direction == "Ingress" {
				peers = r.From
			}
			fits := len(r.Ports) == 0
			for _, p := range r.Ports {
				fits = fits || p.Port == port
			}
			yes = yes || fits && among(peers, other, o.Metadata.Namespace)
		}
	}
	return !selected || yes
}

// Control zero: whatever an agent knows, the gateway is the only thing that it can speak to, and the only
// thing that can speak to a server. The selectors and ports of the rendered policies are asked as a
// network plug-in would; that yours asks them at all only a try in the cluster can show.
func TestServersAreReachedByTheGatewayAlone(t *testing.T) {
	all := manifests(t, "gateway")
	gateway := pod{"gateway", "sallyport", map[string]string{"app.kubernetes.io/name": "sallyport", "app.kubernetes.io/instance": "sallyport"}}
	agent := pod{"agent", "agents", map[string]string{"sallyport/role": "agent"}}
	here := pod{"agent here", "sallyport", map[string]string{"sallyport/role": "agent"}}
	server := pod{"server", "tools", map[string]string{"sallyport/role": "upstream"}}
	beside := pod{"server here", "sallyport", map[string]string{"sallyport/role": "upstream"}}
	stranger := pod{"stranger", "default", map[string]string{"app": "web"}}
	impostor := pod{"impostor", "agents", gateway.labels} // the gateway's labels in another namespace
	prometheus := pod{"prometheus", "monitoring", nil}
	names := pod{"dns", "kube-system", map[string]string{"k8s-app": "kube-dns"}}

	for _, c := range []struct {
		from, to pod
		port     int
		want     bool
	}{
		{agent, gateway, 8080, true}, {here, gateway, 8080, true},
		{gateway, server, 9000, true}, {gateway, beside, 9000, true},
		{agent, names, 53, true}, {gateway, names, 53, true},
		{prometheus, gateway, 8081, true},

		{agent, server, 9000, false}, {here, beside, 9000, false}, {here, server, 9000, false},
		{stranger, server, 9000, false}, {impostor, server, 9000, false}, {beside, server, 9000, false},
		{agent, gateway, 8081, false}, {stranger, gateway, 8080, false}, {prometheus, gateway, 8080, false},
		{agent, stranger, 443, false}, {server, stranger, 443, false}, {gateway, stranger, 443, false},
		{server, gateway, 8080, false}, {server, names, 53, false}, {stranger, agent, 8080, false},
	} {
		got := open(all, "Egress", c.from, c.to, c.port) && open(all, "Ingress", c.to, c.from, c.port)
		if got != c.want {
			t.Errorf("%s to %s, port %d: open is %v, want %v", c.from.name, c.to.name, c.port, got, c.want)
		}
	}
}

// Of a pod that holds server and gateway only the gateway's port is open: not the server's, wherever it
// listens.
func TestSidecarsServerHasNoOtherDoor(t *testing.T) {
	all := manifests(t, "sidecar")
	both := pod{"pod", "sallyport", map[string]string{"app.kubernetes.io/name": "sallyport", "app.kubernetes.io/instance": "sallyport"}}
	agent := pod{"agent", "sallyport", map[string]string{"sallyport/role": "agent"}}
	for port, want := range map[int]bool{8080: true, 8081: false, 9000: false} {
		if got := open(all, "Ingress", both, agent, port); got != want {
			t.Errorf("port %d: open is %v, want %v", port, got, want)
		}
	}
}
