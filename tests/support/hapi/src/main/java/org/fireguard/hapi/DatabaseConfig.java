package org.fireguard.hapi;

import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.config.util.HapiEntityManagerFactoryUtil;
import ca.uhn.fhir.jpa.model.dialect.HapiFhirH2Dialect;
import ca.uhn.fhir.jpa.model.dialect.HapiFhirPostgresDialect;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import jakarta.persistence.EntityManagerFactory;
import org.springframework.beans.factory.config.ConfigurableListableBeanFactory;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Primary;
import org.springframework.orm.jpa.JpaTransactionManager;
import org.springframework.orm.jpa.LocalContainerEntityManagerFactoryBean;

import javax.sql.DataSource;
import java.util.Properties;

/** Connection pool, Hibernate and transactions. */
@Configuration
class DatabaseConfig {
    @Bean
    DataSource dataSource(Settings settings) {
        HikariConfig pool = new HikariConfig();
        pool.setJdbcUrl(settings.text(Setting.JDBC_URL));
        pool.setUsername(settings.text(Setting.JDBC_USER));
        pool.setPassword(settings.text(Setting.JDBC_PASSWORD));
        pool.setMaximumPoolSize(settings.integer(Setting.POOL_SIZE));
        pool.setConnectionTimeout(settings.integer(Setting.POOL_WAIT));
        return new HikariDataSource(pool);
    }

    @Bean
    @Primary
    LocalContainerEntityManagerFactoryBean entityManagerFactory(
            Settings settings,
            ConfigurableListableBeanFactory beans,
            DataSource dataSource,
            FhirContext fhir,
            JpaStorageSettings storage) {
        Class<?> dialect = settings.postgres() ? HapiFhirPostgresDialect.class : HapiFhirH2Dialect.class;
        Properties hibernate = new Properties();
        hibernate.put("hibernate.dialect", dialect.getName());
        hibernate.put("hibernate.hbm2ddl.auto", settings.text(Setting.DDL));
        hibernate.put("hibernate.jdbc.batch_size", "20");
        hibernate.put("hibernate.cache.use_query_cache", "false");
        hibernate.put("hibernate.cache.use_second_level_cache", "false");
        hibernate.put("hibernate.search.enabled", "false");

        var factory = HapiEntityManagerFactoryUtil.newEntityManagerFactory(beans, fhir, storage);
        factory.setPersistenceUnitName("HAPI_PU");
        factory.setDataSource(dataSource);
        factory.setJpaProperties(hibernate);
        return factory;
    }

    @Bean
    @Primary
    JpaTransactionManager transactionManager(EntityManagerFactory entityManagerFactory) {
        return new JpaTransactionManager(entityManagerFactory);
    }
}
