import { Link, Redirect, Route, Switch, useLocation } from "wouter";
import { BrokerPage } from "./BrokerPage";
import { BrokersPage } from "./BrokersPage";
import { KeysPage } from "./KeysPage";
import { PasswordPage } from "./PasswordPage";
import "./settings.css";

const SECTIONS = [
  { path: "/settings/broker", label: "Source of data" },
  { path: "/settings/keys", label: "API keys" },
  { path: "/settings/password", label: "Password" },
];

export default function Settings() {
  const [path] = useLocation();
  return (
    <>
      <div className="page-head">
        <h1>Settings</h1>
        <nav className="row" aria-label="Settings">
          {SECTIONS.map(({ path: to, label }) => (
            <Link key={to} href={to} className="button small" aria-current={path.startsWith(to) ? "page" : undefined}>
              {label}
            </Link>
          ))}
        </nav>
      </div>
      <Switch>
        <Route path="/settings/broker" component={BrokersPage} />
        <Route path="/settings/broker/:name">{({ name }) => <BrokerPage key={name} name={name} />}</Route>
        <Route path="/settings/keys" component={KeysPage} />
        <Route path="/settings/password" component={PasswordPage} />
        <Route>{() => <Redirect to="/settings/broker" replace />}</Route>
      </Switch>
    </>
  );
}
