package deploy

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const kubernetesDir = "deploy/kubernetes"

// cluster is what an overlay would make.
type cluster struct {
	t        *testing.T
	names    map[string]bool // kind/name
	pods     []pod
	services []corev1.Service
	budgets  []policyv1.PodDisruptionBudget
	monitors []monitoringv1.ServiceMonitor
	scaled   []scaledObject
}

type pod struct {
	owner string // kind/name
	spec  corev1.PodSpec
	meta  metav1.ObjectMeta
}

// scaledObject is what of KEDA's type is used here: its own brings all clients of
// Kubernetes along, which take a minute to compile.
type scaledObject struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ScaleTargetRef  struct{ Name string }
		MinReplicaCount int
		MaxReplicaCount int
		PollingInterval int
		CooldownPeriod  int
		Triggers        []struct {
			Type, MetricType string
			Metadata         map[string]string
		}
	}
}

// buildOverlay builds what is in a directory with Kustomize and reads what comes out with the types of
// Kubernetes and of the operators; a field that there is not is an error.
func buildOverlay(t *testing.T, dir string) *cluster {
	t.Helper()
	made, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, names: map[string]bool{}}
	for _, r := range made.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		key := r.GetKind() + "/" + r.GetName()
		c.names[key] = true
		c.add(key, r.GetKind(), text)
	}
	return c
}

func (c *cluster) add(key, kind string, text []byte) {
	c.t.Helper()
	read := func(into any) {
		if err := yaml.UnmarshalStrict(text, into); err != nil {
			c.t.Errorf("%s: %v", key, err)
		}
	}
	switch kind {
	case "Deployment":
		var d appsv1.Deployment
		read(&d)
		c.pods = append(c.pods, pod{key, d.Spec.Template.Spec, d.Spec.Template.ObjectMeta})
		if s, err := metav1.LabelSelectorAsSelector(d.Spec.Selector); err != nil || !s.Matches(labels.Set(d.Spec.Template.Labels)) {
			c.t.Errorf("%s does not select its own pods: %v", key, err)
		}
	case "CronJob":
		var j batchv1.CronJob
		read(&j)
		if j.Spec.ConcurrencyPolicy != batchv1.ForbidConcurrent {
			c.t.Errorf("%s: concurrencyPolicy is %q", key, j.Spec.ConcurrencyPolicy)
		}
		c.pods = append(c.pods, pod{key, j.Spec.JobTemplate.Spec.Template.Spec, j.Spec.JobTemplate.Spec.Template.ObjectMeta})
	case "Job":
		var j batchv1.Job
		read(&j)
		c.pods = append(c.pods, pod{key, j.Spec.Template.Spec, j.Spec.Template.ObjectMeta})
	case "Service":
		var s corev1.Service
		read(&s)
		c.services = append(c.services, s)
	case "PodDisruptionBudget":
		var b policyv1.PodDisruptionBudget
		read(&b)
		c.budgets = append(c.budgets, b)
	case "NetworkPolicy":
		read(new(networkingv1.NetworkPolicy))
	case "ServiceAccount":
		var a corev1.ServiceAccount
		read(&a)
		if a.AutomountServiceAccountToken == nil || *a.AutomountServiceAccountToken {
			c.t.Errorf("%s gives pods a token", key)
		}
	case "Namespace":
		var n corev1.Namespace
		read(&n)
		if n.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			c.t.Errorf("%s does not enforce the restricted profile", key)
		}
	case "ConfigMap":
		read(new(corev1.ConfigMap))
	case "Secret":
		read(new(corev1.Secret))
	case "ServiceMonitor":
		var m monitoringv1.ServiceMonitor
		read(&m)
		c.monitors = append(c.monitors, m)
	case "ScaledObject":
		var o scaledObject
		read(&o)
		c.scaled = append(c.scaled, o)
	default:
		c.t.Errorf("%s is of a kind that is not known here", key)
	}
}

// TestKubernetes looks at what base, overlays and components make.
func TestKubernetes(t *testing.T) {
	for dir, wanted := range map[string][]string{
		"base":             {"Deployment/worker", "CronJob/enqueue", "Service/worker", "PodDisruptionBudget/worker", "NetworkPolicy/rollcall", "ServiceAccount/rollcall"},
		"overlays/example": {"Deployment/worker", "Namespace/rollcall", "ServiceMonitor/rollcall", "ScaledObject/worker"},
		"overlays/demo":    {"Deployment/worker", "Deployment/redis", "Deployment/graphsim", "Job/demo", "Namespace/rollcall-demo"},
	} {
		t.Run(dir, func(t *testing.T) {
			c := buildOverlay(t, filepath.Join(root, kubernetesDir, dir))
			for _, key := range wanted {
				if !c.names[key] {
					t.Errorf("there is no %s", key)
				}
			}
			if dir != "overlays/demo" {
				for key := range c.names {
					if strings.HasPrefix(key, "Secret/") {
						t.Errorf("%s would be committed", key)
					}
				}
			}
			for _, p := range c.pods {
				c.checkPod(p)
			}
			for _, s := range c.services {
				if !slices.ContainsFunc(c.pods, func(p pod) bool { return c.serves(s, p) }) {
					t.Errorf("no pod serves Service/%s", s.Name)
				}
			}
			for _, b := range c.budgets {
				s, err := metav1.LabelSelectorAsSelector(b.Spec.Selector)
				if err != nil || !slices.ContainsFunc(c.pods, func(p pod) bool { return s.Matches(labels.Set(p.meta.Labels)) }) {
					t.Errorf("PodDisruptionBudget/%s is for no pod: %v", b.Name, err)
				}
			}
			for _, m := range c.monitors {
				c.checkMonitor(m)
			}
			for _, o := range c.scaled {
				c.checkScaled(o)
			}
		})
	}
}

// serves tells whether a pod has the labels and the ports of a service.
func (c *cluster) serves(s corev1.Service, p pod) bool {
	if !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(p.meta.Labels)) {
		return false
	}
	for _, port := range s.Spec.Ports {
		if !hasPort(p.spec.Containers[0], port.TargetPort.StrVal) {
			return false
		}
	}
	return true
}

func hasPort(c corev1.Container, name string) bool {
	return slices.ContainsFunc(c.Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
}

func (c *cluster) checkPod(p pod) {
	c.t.Helper()
	checks, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	if r := policy.AggregateCheckResults(checks.EvaluatePod(restricted, &p.meta, &p.spec)); !r.Allowed {
		c.t.Errorf("%s is not restricted: %s", p.owner, r.ForbiddenDetail())
	}
	if p.spec.AutomountServiceAccountToken == nil || *p.spec.AutomountServiceAccountToken {
		c.t.Errorf("%s gets a token for Kubernetes", p.owner)
	}
	volumes := map[string]bool{}
	for _, v := range p.spec.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap != nil && !c.names["ConfigMap/"+v.ConfigMap.Name] {
			c.t.Errorf("%s mounts ConfigMap/%s, which there is not", p.owner, v.ConfigMap.Name)
		}
		c.checkSecret(p, v)
	}
	for _, k := range p.spec.Containers {
		if k.SecurityContext == nil || k.SecurityContext.ReadOnlyRootFilesystem == nil || !*k.SecurityContext.ReadOnlyRootFilesystem {
			c.t.Errorf("%s can write to its file system", p.owner)
		}
		if k.Resources.Requests.Cpu().IsZero() || k.Resources.Requests.Memory().IsZero() || k.Resources.Limits.Memory().IsZero() {
			c.t.Errorf("%s does not say what it needs, or may take any memory", p.owner)
		}
		for _, m := range k.VolumeMounts {
			if !volumes[m.Name] {
				c.t.Errorf("%s mounts %s, which there is not", p.owner, m.Name)
			}
		}
		for _, e := range k.EnvFrom {
			if e.ConfigMapRef != nil && !c.names["ConfigMap/"+e.ConfigMapRef.Name] {
				c.t.Errorf("%s takes its environment from ConfigMap/%s, which there is not", p.owner, e.ConfigMapRef.Name)
			}
		}
		for what, probe := range map[string]*corev1.Probe{"startup": k.StartupProbe, "liveness": k.LivenessProbe, "readiness": k.ReadinessProbe} {
			if probe != nil && probe.HTTPGet != nil && !hasPort(k, probe.HTTPGet.Port.StrVal) {
				c.t.Errorf("%s: no port for the %s probe", p.owner, what)
			}
		}
		if k.Name != "worker" {
			continue
		}
		if k.StartupProbe == nil || k.LivenessProbe == nil || k.ReadinessProbe == nil {
			c.t.Errorf("%s lacks a probe", p.owner)
		}
		if grace := p.spec.TerminationGracePeriodSeconds; grace == nil || float64(*grace) < shutdownTime.Seconds() {
			c.t.Errorf("%s is killed before it has ended by itself", p.owner)
		}
	}
}

// TestEveryRun wants each run of the CronJob to have a key of its own, if that is asked
// for.
func TestEveryRun(t *testing.T) {
	dir := t.TempDir()
	to, err := filepath.Rel(dir, filepath.Join(root, kubernetesDir))
	if err != nil {
		t.Fatal(err)
	}
	text := "resources: [" + to + "/base]\ncomponents: [" + to + "/components/every-run]\n"
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range buildOverlay(t, dir).pods {
		keyed := slices.ContainsFunc(p.spec.Containers[0].Env, func(e corev1.EnvVar) bool {
			return e.Name == "ROLLCALL_KEY" && e.ValueFrom.FieldRef.FieldPath == "metadata.labels['"+batchv1.JobNameLabel+"']"
		})
		if keyed != (p.owner == "CronJob/enqueue") {
			t.Errorf("%s has a key: %t", p.owner, keyed)
		}
	}
}

// checkMonitor wants services to be scraped, under the name that the alerts look for.
func (c *cluster) checkMonitor(m monitoringv1.ServiceMonitor) {
	c.t.Helper()
	s, err := metav1.LabelSelectorAsSelector(&m.Spec.Selector)
	if err != nil || len(m.Spec.Endpoints) != 1 {
		c.t.Fatalf("ServiceMonitor/%s: %v, %d endpoints", m.Name, err, len(m.Spec.Endpoints))
	}
	e := m.Spec.Endpoints[0]
	if !slices.ContainsFunc(c.services, func(v corev1.Service) bool {
		return s.Matches(labels.Set(v.Labels)) && slices.ContainsFunc(v.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == e.Port })
	}) {
		c.t.Errorf("ServiceMonitor/%s finds no service with a port %q", m.Name, e.Port)
	}
	if !slices.ContainsFunc(e.RelabelConfigs, func(r monitoringv1.RelabelConfig) bool {
		return r.TargetLabel == "job" && r.Replacement != nil && *r.Replacement == "rollcall"
	}) {
		c.t.Errorf("ServiceMonitor/%s does not call the job rollcall", m.Name)
	}
}

// checkScaled wants it to scale what there is, by metrics that there are.
func (c *cluster) checkScaled(o scaledObject) {
	c.t.Helper()
	if target := "Deployment/" + o.Spec.ScaleTargetRef.Name; !c.names[target] {
		c.t.Errorf("ScaledObject/%s scales %s, which there is not", o.Name, target)
	}
	if o.Spec.MinReplicaCount < 1 || o.Spec.MaxReplicaCount < o.Spec.MinReplicaCount || len(o.Spec.Triggers) == 0 {
		c.t.Errorf("ScaledObject/%s scales by %d triggers from %d to %d", o.Name, len(o.Spec.Triggers), o.Spec.MinReplicaCount, o.Spec.MaxReplicaCount)
	}
	exist := metrics(c.t)
	for _, trigger := range o.Spec.Triggers {
		for name := range namesIn(c.t, trigger.Metadata["query"]) {
			if !exist(name) {
				c.t.Errorf("ScaledObject/%s names %s, which does not exist", o.Name, name)
			}
		}
	}
}

// secrets are what an operator makes: its name, and its keys.
var secrets = map[string][]string{"rollcall": {"redis-password", "azure-client-secret", "console-token"}}

func (c *cluster) checkSecret(p pod, v corev1.Volume) {
	c.t.Helper()
	if v.Secret == nil || c.names["Secret/"+v.Secret.SecretName] {
		return
	}
	keys, ok := secrets[v.Secret.SecretName]
	if !ok {
		c.t.Errorf("%s mounts Secret/%s, which nobody makes; there are %v", p.owner, v.Secret.SecretName, slices.Collect(maps.Keys(secrets)))
	}
	for _, item := range v.Secret.Items {
		if !slices.Contains(keys, item.Key) {
			c.t.Errorf("%s mounts the key %s of Secret/%s, which nobody makes", p.owner, item.Key, v.Secret.SecretName)
		}
	}
}

// TestDemoFiles compares the demo's files, which Kustomize wants beside it, with the
// examples.
func TestDemoFiles(t *testing.T) {
	for _, name := range []string{"roster.csv", "simulator.token"} {
		a, err := os.ReadFile(filepath.Join(root, "examples", name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(root, kubernetesDir, "overlays", "demo", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s is not as in examples/", name)
		}
	}
}

// TestNothingIsLeftOut wants each directory of manifests to be built by a test.
func TestNothingIsLeftOut(t *testing.T) {
	built := []string{"base", "components/console", "components/every-run", "components/keda", "components/monitoring", "overlays/demo", "overlays/example"}
	var found []string
	err := filepath.WalkDir(filepath.Join(root, kubernetesDir), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "kustomization.yaml" {
			dir, _ := filepath.Rel(filepath.Join(root, kubernetesDir), filepath.Dir(path))
			found = append(found, filepath.ToSlash(dir))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Sort(found); !slices.Equal(found, built) {
		t.Errorf("there are %v, and %v are built", found, built)
	}
}
