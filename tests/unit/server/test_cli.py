"""Flags, environment, file and defaults become settings, in that order; wrong ones are named."""

import pytest
from click.testing import CliRunner
from sentinova_server import cli
from sentinova_server.settings import ModelSettings, ServerSettings


@pytest.fixture
def parse(monkeypatch):
    """Runs `serve` up to the settings; gives them, or the error text."""

    def run(*arguments, **environment):
        made = []

        def stop(kind, values):
            made.append(original(kind, values))
            raise SystemExit(0)

        monkeypatch.setattr(cli, "_make_settings", stop)
        result = CliRunner().invoke(cli.main, ["serve", *arguments], env=environment)
        return made[0] if made else result

    original = cli._make_settings
    return run


def test_defaults(parse):
    assert parse("--model-repository", "models") == ServerSettings(model_repository="models")


def test_flag_wins_over_environment_over_file_over_default(parse, tmp_path):
    file = tmp_path / "server.toml"
    file.write_text('model_repository = "file"\nport = 1\nhttp_port = 2\ndrain_timeout = 3.5\nstrict_readiness = true')
    settings = parse(
        "--config", str(file), "--port", "11", SENTINOVA_PORT="12", SENTINOVA_HTTP_PORT="13", SENTINOVA_TLS_CERT=""
    )
    assert (settings.port, settings.http_port, settings.drain_timeout) == (11, 13, 3.5)
    assert settings.strict_readiness is True
    assert str(settings.model_repository) == "file"
    assert settings.tls_cert is None


def test_the_file_can_be_named_by_the_environment(parse, tmp_path):
    file = tmp_path / "server.toml"
    file.write_text('model_repository = "file"')
    assert str(parse(SENTINOVA_CONFIG=str(file)).model_repository) == "file"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--model-repository"),
        (["--port", "70000"], "--port: Input should be less than or equal to 65535"),
        (["--port", "many"], "--port: Input should be a valid integer"),
        (["--drain-timeout", "-1"], "--drain-timeout"),
        (["--response-cache-bytes", "-1"], "--response-cache-bytes: Input should be greater than or equal to 0"),
        (["--response-cache-bytes", "64MiB"], "--response-cache-bytes: Input should be a valid integer"),
        (["--tls-cert", "x.pem"], "tls_cert and tls_key go together"),
        (["--tls-client-ca", "x.pem"], "tls_client_ca needs"),
        (["--log-level", "loud"], "'--log-level'"),
        (["--no-such-flag"], "--no-such-flag"),
    ],
)
def test_wrong_flags_are_named(parse, arguments, told):
    repository = ["--model-repository", "models"] if arguments else []
    result = parse(*repository, *arguments)
    assert result.exit_code == 2
    assert told in result.output


@pytest.mark.parametrize(("content", "told"), [("prot = 1", "unknown keys ['prot']"), ("port = ", "server.toml")])
def test_a_wrong_file_is_named(parse, tmp_path, content, told):
    file = tmp_path / "server.toml"
    file.write_text(content)
    result = parse("--config", str(file), "--model-repository", "models")
    assert result.exit_code == 2
    assert told in result.output.replace("\n", " ")


def test_every_setting_has_a_flag_and_a_description():
    options = {option.name for option in cli.main.commands["serve"].params}
    assert set(ServerSettings.model_fields) <= options
    assert set(ModelSettings.model_fields) <= {option.name for option in cli.main.commands["check"].params}
    assert all(field.description for field in ServerSettings.model_fields.values())


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        ServerSettings(model_repository="m").port = 1
