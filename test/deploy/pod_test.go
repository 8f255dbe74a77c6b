package deploy

import (
	"slices"
	"testing"
)

type podSpec struct {
	AutomountServiceAccountToken *bool `yaml:"automountServiceAccountToken"`
	HostNetwork                  bool  `yaml:"hostNetwork"`
	HostPID                      bool  `yaml:"hostPID"`
	SecurityContext              struct {
		RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
		RunAsUser      int                   `yaml:"runAsUser"`
		SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	InitContainers []struct{ Name string } `yaml:"initContainers"`
	Containers     []struct {
		Name            string
		Image           string
		ReadinessProbe  *probe `yaml:"readinessProbe"`
		LivenessProbe   *probe `yaml:"livenessProbe"`
		StartupProbe    *probe `yaml:"startupProbe"`
		SecurityContext struct {
			AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
			RunAsNonRoot             bool  `yaml:"runAsNonRoot"`
			Privileged               bool
			Capabilities             struct{ Drop, Add []string }
		} `yaml:"securityContext"`
	}
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
}

// Every container of both forms, the server's beside the gateway too, has a root that it cannot write,
// no capability and no user of root's.
func TestContainersHaveNoRights(t *testing.T) {
	for form, containers := range map[string]int{"gateway": 1, "sidecar": 2} {
		t.Run(form, func(t *testing.T) {
			spec, n := workload(t, form)
			if len(spec.Containers) != containers || len(spec.InitContainers) > 0 {
				t.Errorf("%d containers and %d before them; %d and none are looked at", len(spec.Containers), len(spec.InitContainers), containers)
			}
			if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
				t.Error("the pod has a token of the API server, which nothing in it needs")
			}
			if s := spec.SecurityContext; !s.RunAsNonRoot || s.RunAsUser == 0 || s.SeccompProfile.Type != "RuntimeDefault" {
				t.Errorf("the pod's context is %+v", s)
			}
			if spec.HostNetwork || spec.HostPID {
				t.Error("the pod shares something with its node")
			}
			if n != 1 {
				t.Errorf("%d replicas would write to one state directory", n)
			}
			for _, c := range spec.Containers {
				s := c.SecurityContext
				if s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !s.ReadOnlyRootFilesystem || !s.RunAsNonRoot || s.Privileged ||
					!slices.Equal(s.Capabilities.Drop, []string{"ALL"}) || len(s.Capabilities.Add) > 0 {
					t.Errorf("container %s: %+v", c.Name, s)
				}
			}
		})
	}
}

// The probes ask what the gateway says of itself: alive is not ready, and a policy that does not
// compile is neither, since the one before it serves on.
func TestProbesAskTheRightPages(t *testing.T) {
	spec, _ := workload(t, "gateway")
	c := spec.Containers[0]
	for name, p := range map[string]struct {
		probe *probe
		path  string
	}{"startup": {c.StartupProbe, "/healthz"}, "liveness": {c.LivenessProbe, "/healthz"}, "readiness": {c.ReadinessProbe, "/readyz"}} {
		if p.probe == nil || p.probe.HTTPGet.Path != p.path || p.probe.HTTPGet.Port != "admin" {
			t.Errorf("the %s probe is %+v, want %s of the admin port", name, p.probe, p.path)
		}
	}
}

func workload(t *testing.T, form string) (podSpec, int) {
	t.Helper()
	for _, o := range manifests(t, form) {
		if o.Kind == "StatefulSet" {
			return o.Spec.Template.Spec, o.Spec.Replicas
		}
	}
	t.Fatal("there is no StatefulSet")
	return podSpec{}, 0
}
