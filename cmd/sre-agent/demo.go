package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sre-agent/sre-agent/internal/config"
	"github.com/sre-agent/sre-agent/internal/demo"
)

const demoHint = "`make demo` installs what the demo needs, or says how."

func (a *app) demoCommand() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use: "demo", Short: "Show the main job on this machine, with no accounts", Args: cobra.NoArgs,
		Long: "Start everything on this machine: the services, their servers, and a local forge with a small Go repository whose\n" +
			"gofmt check is red. Then send the webhooks that GitHub would send, and show how one verified pull request comes of it, and\n" +
			"what becomes of it when the trouble comes again and people say no and retry.\n" +
			"It ignores the environment's addresses and tokens, and stays up until Ctrl-C.\n\n" + exitCodes,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.demo(cmd.Context(), once) },
	}
	cmd.Flags().BoolVar(&once, "once", false, "end when the scenes are played, instead of staying up")
	return cmd
}

// demo plays the scene, and clears away what it made on disk unless something went wrong.
func (a *app) demo(ctx context.Context, once bool) error {
	if err := a.demoTools(); err != nil {
		return err
	}
	stage, err := a.buildStage(ctx)
	var badConfig *config.Error
	switch {
	case errors.As(err, &badConfig):
		return err
	case err != nil && ctx.Err() != nil:
		return errors.New("demo: interrupted")
	case err != nil:
		return fmt.Errorf("demo: %w\n%s", err, demoHint)
	}
	result, err := stage.play(ctx)
	if err == nil && !once {
		stage.lookAround(result)
		<-ctx.Done()
	}
	if err != nil {
		stage.explain()
	}
	if err := errors.Join(err, stage.close()); err != nil {
		a.terminal().printf("\nEverything is left in %s; the services' log is %s\n", stage.dir, stage.logs.Name())
		if ctx.Err() != nil {
			return errors.New("demo: interrupted")
		}
		return fmt.Errorf("demo: %w", err)
	}
	stage.clear()
	a.terminal().printf("the services' log is %s\n%s%s\n", stage.logs.Name(), demoScenes, result)
	return nil
}

// demoTools looks for the programs that the demo can't do without. PostgreSQL is found when it is started.
func (a *app) demoTools() error {
	bwrap := a.environ["SANDBOX_BIN"]
	if bwrap == "" {
		bwrap = "bwrap"
	}
	var missing []string
	for _, tool := range []struct{ program, name string }{
		{"git", "git"}, {bwrap, "bubblewrap"}, {"bash", "bash"}, {"gofmt", "gofmt, which comes with Go,"},
	} {
		if _, err := exec.LookPath(tool.program); err != nil {
			missing = append(missing, tool.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("demo: not found on PATH: %s\n%s", strings.Join(missing, ", "), demoHint)
	}
	return nil
}

// stage is where the demo plays: a scene, the services, and the folder of both.
type stage struct {
	app   *app
	term  terminal
	dir   string
	logs  *os.File
	scene *demo.Scene
	all   *allInOne

	live   *liveView
	end    context.CancelFunc
	served chan error
	base   string
}

// buildStage makes the folder, sets the scene and starts the servers. When it fails, nothing of it is left.
func (a *app) buildStage(ctx context.Context) (*stage, error) {
	s := &stage{app: a, term: a.terminal(), served: make(chan error, 1), end: func() {}}
	var err error
	if s.dir, err = os.MkdirTemp("", "sre-agent-demo-"); err != nil {
		return nil, err
	}
	if err := s.build(ctx); err != nil {
		return nil, errors.Join(err, s.close(), os.RemoveAll(s.dir))
	}
	return s, nil
}

func (s *stage) build(ctx context.Context) (err error) {
	// PostgreSQL and the sandbox run as other users when we are root; each folder below has its own mode.
	if err := os.Chmod(s.dir, 0o711); err != nil {
		return err
	}
	if s.logs, err = os.OpenFile(filepath.Join(s.dir, "services.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return err
	}
	s.term.printf("%s a repository whose gofmt check is red, on a forge of its own\n", s.term.bold("setting the scene:"))
	if s.scene, err = demo.NewScene(ctx, filepath.Join(s.dir, "scene")); err != nil {
		return err
	}
	cfg, err := s.config()
	if err != nil {
		return err
	}
	s.term.printf("%s NATS, PostgreSQL, Redis and the four services\n", s.term.bold("starting:"))
	if s.all, err = startAllInOne(ctx, cfg, s.logs); err != nil {
		return err
	}
	return nil
}

// config is the default configuration on the scene. Of the environment only the sandbox's settings count, so that
// nothing of a real installation is touched.
func (s *stage) config() (*config.Config, error) {
	environ := s.scene.Environ()
	for name, value := range s.app.environ {
		if strings.HasPrefix(name, "SANDBOX_") {
			environ[name] = value
		}
	}
	environ["DATA_DIR"] = filepath.Join(s.dir, "data")
	environ["HTTP_ADDR"] = "127.0.0.1:0"
	environ["LOG_FORMAT"] = "text"
	if err := os.Mkdir(environ["DATA_DIR"], 0o711); err != nil {
		return nil, err
	}
	return config.Load(config.All, environ)
}

// close ends everything, the last thing started first.
func (s *stage) close() error {
	var errs []error
	if s.live != nil {
		s.live.close()
	}
	s.end()
	if s.base != "" {
		errs = append(errs, <-s.served)
	}
	if s.all != nil {
		errs = append(errs, s.all.close())
	}
	if s.scene != nil {
		errs = append(errs, s.scene.Close())
	}
	if s.logs != nil {
		errs = append(errs, s.logs.Close())
	}
	return errors.Join(errs...)
}

// clear removes what the demo made, except the log.
func (s *stage) clear() {
	for _, dir := range []string{filepath.Join(s.dir, "data"), filepath.Join(s.dir, "scene"), s.all.parts.postgresDir} {
		if err := os.RemoveAll(dir); err != nil {
			s.term.printf("not removed: %s\n", visible(err.Error()))
		}
	}
}
