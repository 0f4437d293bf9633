import stat

import pytest

from gondwana.core.errors import InvalidValue
from gondwana.sdk.config import URL_DEFAULT, check_url, config_path, load_settings, save_settings


@pytest.fixture
def environ(tmp_path):
    return {"HOME": str(tmp_path)}


def test_without_anything_the_address_is_this_machine_and_there_is_no_token(environ):
    settings = load_settings(environ=environ)
    assert (settings.url, settings.token) == (URL_DEFAULT, None)
    assert (settings.url_origin, settings.token_origin) == ("default", "none")


def test_a_flag_beats_the_environment_which_beats_the_saved_login(environ):
    save_settings("https://saved.example/", "saved", environ=environ)
    assert load_settings(environ=environ).token == "saved"
    environ |= {"GONDWANA_TOKEN": "env"}
    assert load_settings(environ=environ).token == "env"
    settings = load_settings(token="flag", environ=environ)
    assert (settings.token, settings.token_origin) == ("flag", "flag")
    assert (settings.url, settings.url_origin) == ("https://saved.example", "file")


def test_a_saved_token_is_never_sent_to_another_address(environ):
    save_settings("https://saved.example", "saved", environ=environ)
    assert load_settings(url="https://other.example", environ=environ).token is None
    assert load_settings(url="https://saved.example/", environ=environ).token == "saved"


def test_a_saved_login_is_readable_by_its_owner_alone(environ):
    path = save_settings("https://saved.example", 'a"b\\c', environ=environ)
    assert path == config_path(environ)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_settings(environ=environ).token == 'a"b\\c'


def test_the_xdg_folder_is_respected(environ, tmp_path):
    environ["XDG_CONFIG_HOME"] = str(tmp_path / "xdg")
    assert save_settings("https://a.example", "t", environ=environ).is_relative_to(tmp_path / "xdg")


@pytest.mark.parametrize(
    "url", ["", "gondwana", "ftp://x", "http://", "https://me:pw@x.example", "http://[x"]
)
def test_what_is_not_an_address_is_refused(url):
    with pytest.raises(InvalidValue, match="not the address"):
        check_url(url, environ={})


def test_a_token_does_not_travel_in_the_clear_unless_one_insists():
    with pytest.raises(InvalidValue, match="in the clear"):
        check_url("http://10.0.0.5:8470", environ={})
    assert check_url("http://10.0.0.5:8470", environ={"GONDWANA_PLAIN_HTTP": "1"})
    assert check_url("http://localhost:8470", environ={})


def test_a_broken_file_says_how_to_write_it_anew(environ):
    path = config_path(environ)
    path.parent.mkdir(parents=True)
    path.write_text("url = = 3")
    with pytest.raises(InvalidValue) as caught:
        load_settings(environ=environ)
    assert "gondwana login" in str(caught.value.hint)
