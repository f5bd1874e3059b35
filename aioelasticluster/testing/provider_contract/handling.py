"""What a provider promises as an object: options, settings, opening."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

import pytest

from aioelasticluster.errors import ConfigurationError
from aioelasticluster.providers.base import (
    AbstractCloudProvider,
)
from aioelasticluster.testing.provider_contract.fixtures import (
    ProviderFixtures,
)


class HandlePromises(ProviderFixtures):
    """Tests of what needs no instance."""

    def test_unknown_options_are_refused_by_name(
        self, closed_provider: AbstractCloudProvider
    ) -> None:
        """The error names the option and says what to do."""
        closed_provider.check_options(self.spec)
        for name, value in self.bad_options.items():
            spec = replace(self.spec, options={**self.spec.options, name: value})
            with pytest.raises(ConfigurationError) as caught:
                closed_provider.check_options(spec)
            assert caught.value.field.rpartition(".")[2] == name
            assert caught.value.remedy

    def test_settings_are_plain_and_rebuild_the_same(
        self, closed_provider: AbstractCloudProvider
    ) -> None:
        """JSON holds them, and the constructor takes them."""
        settings = dict(closed_provider.settings())
        assert json.loads(json.dumps(settings)) == settings
        assert dict(self.rebuild(closed_provider).settings()) == settings

    async def test_neither_settings_nor_identity_hold_a_secret(
        self, provider: AbstractCloudProvider
    ) -> None:
        """Both are recorded."""
        said = json.dumps(dict(provider.settings())) + await provider.identity()
        assert not [secret for secret in self.secrets if secret in said]
        assert await provider.identity() == await provider.identity()

    async def test_it_may_be_opened_again_while_it_is_open(
        self, provider: AbstractCloudProvider
    ) -> None:
        """The last one to leave closes."""
        async with provider.opened():
            async with provider.opened():
                await provider.find()
            await provider.find()
        assert not await provider.find(token=uuid.uuid4().hex)

    async def test_it_may_be_opened_again_after_it_was_closed(
        self, closed_provider: AbstractCloudProvider
    ) -> None:
        """Closing it is not its end."""
        for _ in range(2):
            async with closed_provider.opened():
                assert not await closed_provider.find(token=uuid.uuid4().hex)
