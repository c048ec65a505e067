package org.fireguard.hapi;

import ca.uhn.fhir.batch2.api.IJobMaintenanceService;
import ca.uhn.fhir.batch2.jobs.config.Batch2JobsConfig;
import ca.uhn.fhir.batch2.jobs.export.BulkDataExportProvider;
import ca.uhn.fhir.batch2.jobs.imprt.BulkDataImportProvider;
import ca.uhn.fhir.batch2.maintenance.JobMaintenanceServiceImpl;
import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.interceptor.api.IInterceptorBroadcaster;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.api.config.ThreadPoolFactoryConfig;
import ca.uhn.fhir.jpa.api.dao.DaoRegistry;
import ca.uhn.fhir.jpa.api.dao.IFhirSystemDao;
import ca.uhn.fhir.jpa.batch2.JpaBatch2Config;
import ca.uhn.fhir.jpa.binary.interceptor.BinaryStorageInterceptor;
import ca.uhn.fhir.jpa.binary.provider.BinaryAccessProvider;
import ca.uhn.fhir.jpa.config.HapiJpaConfig;
import ca.uhn.fhir.jpa.config.r4.JpaR4Config;
import ca.uhn.fhir.jpa.delete.ThreadSafeResourceDeleterSvc;
import ca.uhn.fhir.jpa.interceptor.CascadingDeleteInterceptor;
import ca.uhn.fhir.jpa.interceptor.UserRequestRetryVersionConflictsInterceptor;
import ca.uhn.fhir.jpa.provider.IJpaSystemProvider;
import ca.uhn.fhir.jpa.provider.JpaCapabilityStatementProvider;
import ca.uhn.fhir.jpa.provider.ValueSetOperationProvider;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.rest.api.EncodingEnum;
import ca.uhn.fhir.rest.server.ApacheProxyAddressStrategy;
import ca.uhn.fhir.rest.server.HardcodedServerAddressStrategy;
import ca.uhn.fhir.rest.server.IServerAddressStrategy;
import ca.uhn.fhir.rest.server.IncomingRequestAddressStrategy;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import ca.uhn.fhir.rest.server.util.ISearchParamRegistry;
import org.springframework.beans.factory.ObjectProvider;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;

/** The FHIR servlet: all R4 resource providers, and the operations and interceptors that the settings ask for. */
@Configuration
@Import({
    JpaR4Config.class,
    HapiJpaConfig.class,
    JpaBatch2Config.class,
    Batch2JobsConfig.class,
    ThreadPoolFactoryConfig.class
})
class FhirConfig {
    private final Settings settings;

    FhirConfig(Settings settings) {
        this.settings = settings;
    }

    @Bean
    RestfulServer fhirServlet(
            FhirContext fhir,
            ResourceProviderFactory resourceProviders,
            IJpaSystemProvider systemProvider,
            ValueSetOperationProvider valueSets,
            DatabaseBackedPagingProvider paging,
            IJobMaintenanceService jobs,
            JpaCapabilityStatementProviderFactory capabilities,
            ObjectProvider<BulkDataExportProvider> bulkExport,
            ObjectProvider<BulkDataImportProvider> bulkImport,
            ObjectProvider<BinaryAccessProvider> binaryAccess,
            ObjectProvider<BinaryStorageInterceptor<?>> binaryStorage,
            ObjectProvider<CascadingDeleteInterceptor> cascadingDelete) {
        RestfulServer server = new RestfulServer(fhir);
        server.setDefaultResponseEncoding(EncodingEnum.JSON);
        server.setDefaultPrettyPrint(settings.flag(Setting.PRETTY));
        server.setServerAddressStrategy(addressStrategy(settings.text(Setting.BASE)));

        paging.setDefaultPageSize(settings.integer(Setting.PAGE_DEFAULT));
        paging.setMaximumPageSize(settings.integer(Setting.PAGE_MAX));
        server.setPagingProvider(paging);

        server.registerProviders(resourceProviders.createProviders());
        server.registerProvider(systemProvider);
        server.registerProvider(valueSets);
        if (settings.flag(Setting.BULK_EXPORT)) {
            server.registerProvider(bulkExport.getObject());
        }
        if (settings.flag(Setting.BULK_IMPORT)) {
            server.registerProvider(bulkImport.getObject());
        }
        if (settings.flag(Setting.BINARY_STORAGE)) {
            server.registerProvider(binaryAccess.getObject());
            server.registerInterceptor(binaryStorage.getObject());
        }
        if (settings.flag(Setting.CASCADE_DELETE)) {
            server.registerInterceptor(cascadingDelete.getObject());
        }
        if (settings.flag(Setting.RETRY_CONFLICTS)) {
            server.registerInterceptor(new UserRequestRetryVersionConflictsInterceptor());
        }
        // A job steps forward only when this runs: at HAPI's minute an $export takes several.
        ((JobMaintenanceServiceImpl) jobs).setScheduledJobFrequencyMillis(settings.integer(Setting.JOBS_EVERY));
        server.setServerConformanceProvider(capabilities.of(server));
        return server;
    }

    /** The CapabilityStatement describes a server, so it can only be made once that exists. */
    interface JpaCapabilityStatementProviderFactory {
        JpaCapabilityStatementProvider of(RestfulServer server);
    }

    @Bean
    JpaCapabilityStatementProviderFactory capabilities(
            IFhirSystemDao<?, ?> systemDao,
            JpaStorageSettings storage,
            ISearchParamRegistry searchParams,
            IValidationSupport validation) {
        return server -> {
            var provider = new JpaCapabilityStatementProvider(server, systemDao, storage, searchParams, validation);
            provider.setImplementationDescription("HAPI FHIR for Fireguard's tests");
            return provider;
        };
    }

    @Bean
    CascadingDeleteInterceptor cascadingDelete(
            FhirContext fhir,
            DaoRegistry daos,
            IInterceptorBroadcaster broadcaster,
            ThreadSafeResourceDeleterSvc deleter) {
        return new CascadingDeleteInterceptor(fhir, daos, broadcaster, deleter);
    }

    private static IServerAddressStrategy addressStrategy(String base) {
        return switch (base) {
            case "incoming" -> new IncomingRequestAddressStrategy();
            case "apache" -> ApacheProxyAddressStrategy.forHttp();
            case "apache-https" -> ApacheProxyAddressStrategy.forHttps();
            default -> new HardcodedServerAddressStrategy(base);
        };
    }
}
