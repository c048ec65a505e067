package org.fireguard.hapi;

import ca.uhn.fhir.broker.api.IBrokerClient;
import ca.uhn.fhir.broker.impl.LinkedBlockingBrokerClient;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.binary.api.IBinaryStorageSvc;
import ca.uhn.fhir.jpa.binstore.DatabaseBinaryContentStorageSvcImpl;
import ca.uhn.fhir.jpa.model.config.PartitionSettings;
import ca.uhn.fhir.jpa.model.config.SubscriptionSettings;
import ca.uhn.fhir.jpa.subscription.channel.impl.LinkedBlockingChannelFactory;
import ca.uhn.fhir.jpa.subscription.channel.impl.RetryPolicyProvider;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** What HAPI's own configurations ask for and do not bring: storage settings, the in-memory broker of its jobs. */
@Configuration
class StorageConfig {
    @Bean
    JpaStorageSettings storageSettings(Settings settings) {
        JpaStorageSettings storage = new JpaStorageSettings();
        // The official starter's values where they differ from the library's.
        storage.setAllowContainsSearches(true);
        storage.setDefaultSearchParamsCanBeOverridden(true);
        storage.setExpungeEnabled(true);
        storage.setFilterParameterEnabled(true);
        storage.setHibernateSearchIndexFullText(false);
        storage.setHibernateSearchIndexSearchParams(false);
        storage.setMatchUrlCacheEnabled(false);
        settings.applyStorage(storage);
        return storage;
    }

    @Bean
    PartitionSettings partitionSettings() {
        return new PartitionSettings();
    }

    @Bean
    SubscriptionSettings subscriptionSettings() {
        return new SubscriptionSettings();
    }

    @Bean
    IBrokerClient brokerClient() {
        return new LinkedBlockingBrokerClient((name, settings) -> name);
    }

    @Bean
    LinkedBlockingChannelFactory channelFactory() {
        return new LinkedBlockingChannelFactory((name, settings) -> name, new RetryPolicyProvider());
    }

    @Bean
    IBinaryStorageSvc binaryStorageSvc(Settings settings) {
        DatabaseBinaryContentStorageSvcImpl binaries = new DatabaseBinaryContentStorageSvcImpl();
        binaries.setMinimumBinarySize(settings.integer(Setting.BINARY_MIN));
        return binaries;
    }
}
