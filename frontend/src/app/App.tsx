/** Which page is shown: by the session first (set-up, login), then by the address. Each page is a chunk of its own. */

import { lazy, Suspense } from "react";
import { Link, Redirect, Route, Switch, useLocation } from "wouter";
import { Button, Failure } from "../ui/controls";
import { Shell } from "./Shell";
import { useSession } from "./session";

const Login = lazy(() => import("../pages/Login"));
const Setup = lazy(() => import("../pages/Setup"));
const Start = lazy(() => import("../pages/Start"));
const Dashboard = lazy(() => import("../pages/dashboard/Dashboard"));
const Watchlist = lazy(() => import("../pages/watchlist/Watchlist"));
const DepthPage = lazy(() => import("../pages/depth/DepthPage"));
const WebSocketTest = lazy(() => import("../pages/wstest/WebSocketTest"));
const Settings = lazy(() => import("../pages/settings/Settings"));

const Loading = () => (
  <div className="loading" role="status">
    Loading…
  </div>
);

export function App() {
  const { session, error, retry } = useSession();
  const [path] = useLocation();

  if (!session) {
    return error ? (
      <main className="gate">
        <h1 className="visually-hidden">tickmux</h1>
        <Failure action={<Button onClick={retry}>Try again</Button>}>{error}</Failure>
      </main>
    ) : (
      <Loading />
    );
  }
  if (session.setup_required) return path === "/setup" ? gate(<Setup />) : <Redirect to="/setup" replace />;
  if (!session.authenticated) {
    if (path === "/login") return gate(<Login />);
    return (
      <Redirect
        to={
          path === "/" || path === "/setup" ? "/login" : `/login?next=${encodeURIComponent(path + location.search)}`
        }
        replace
      />
    );
  }
  if (path === "/start") return gate(<Start />);
  return (
    <Shell>
      <Suspense fallback={<Loading />}>
        <Switch>
          <Route path="/" component={Dashboard} />
          <Route path="/watchlist" component={Watchlist} />
          <Route path="/depth" component={DepthPage} />
          <Route path="/websocket/test">{() => <WebSocketTest key="all" levels={null} />}</Route>
          <Route path="/websocket/test/20">{() => <WebSocketTest key="20" levels={20} />}</Route>
          <Route path="/websocket/test/30">{() => <WebSocketTest key="30" levels={30} />}</Route>
          <Route path="/websocket/test/50">{() => <WebSocketTest key="50" levels={50} />}</Route>
          <Route path="/settings">{() => <Redirect to="/settings/broker" replace />}</Route>
          <Route path="/settings/*?" component={Settings} />
          <Route path="/login">{() => <Redirect to={nextPath()} replace />}</Route>
          <Route path="/setup">{() => <Redirect to="/start" replace />}</Route>
          <Route component={NotFound} />
        </Switch>
      </Suspense>
    </Shell>
  );
}

function gate(page: React.ReactNode) {
  return <Suspense fallback={<Loading />}>{page}</Suspense>;
}

/** Where to go after login: a path of this app, never another site. */
function nextPath(): string {
  const next = new URLSearchParams(location.search).get("next") ?? "/";
  return next.startsWith("/") && !next.startsWith("//") && !next.includes("\\") ? next : "/";
}

function NotFound() {
  return (
    <div className="empty">
      <h1>There is no such page</h1>
      <p>The address may be mistyped.</p>
      <Link className="button primary" href="/">
        Go to the dashboard
      </Link>
    </div>
  );
}
