using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using OciRegistry.Coordination;
using OciRegistry.Hosting;
using OciRegistry.Redis;

namespace OciRegistry.Redis
{
    /// <summary>Where the locks are kept that make the requests on several replicas wait for each other.</summary>
    public sealed class RedisLocksOptions
    {
        internal static readonly TimeSpan ShortestLease = TimeSpan.FromSeconds(1);
        internal static readonly TimeSpan LongestLease = TimeSpan.FromMinutes(5);
        internal static readonly TimeSpan ShortestTimeout = TimeSpan.FromMilliseconds(10);

        /// <summary>
        /// Each entry one independent Redis, as <c>host:port,password=...,ssl=true</c>: a configuration string of
        /// StackExchange.Redis. With more than one, a lock is held by whoever has it on more than half of them, so that
        /// some may be down: use an odd number. All replicas name the same ones.
        /// </summary>
        /// <value>none: locks are within the process</value>
        [Setting(IsSecret = true)]
        public IList<string> Configuration { get; } = [];

        /// <summary>
        /// How long a lock outlives its holder, from 1 second to 5 minutes. A holder that lives extends it every third of
        /// that. Keep it below <c>Uploads:OrderWait</c>, so that a request that waits outlives the lock of a dead one.
        /// </summary>
        /// <value>8 seconds</value>
        [Setting(Min = "00:00:01", Max = "00:05:00")]
        public TimeSpan Lease { get; set; } = TimeSpan.FromSeconds(8);

        /// <summary>What all keys and the channel begin with. Registries that share a Redis need different ones.</summary>
        /// <value>oci-registry:</value>
        public string KeyPrefix { get; set; } = "oci-registry:";

        /// <summary>How long a call to Redis may take, from 10 milliseconds to a quarter of <see cref="Lease"/>.</summary>
        /// <value>500 milliseconds</value>
        [Setting(Min = "00:00:00.01")]
        public TimeSpan Timeout { get; set; } = TimeSpan.FromMilliseconds(500);

        /// <summary>A PEM file with the certificates that the TLS certificates of all Redis must lead to, with <c>ssl=true</c>.</summary>
        /// <value>null: the system's</value>
        public string? CertificateAuthority { get; set; }

        /// <summary>The same, but for the time that a call may take.</summary>
        internal RedisLocksOptions WithTimeout(TimeSpan timeout)
        {
            var copy = (RedisLocksOptions)MemberwiseClone();
            copy.Timeout = timeout;
            return copy;
        }

        /// <summary>All addresses as host:port, without passwords.</summary>
        internal IEnumerable<string> EndPoints() =>
            Configuration.SelectMany(text => RedisConfiguration.Parse(text).EndPoints);

        /// <summary>Everything that is wrong, as sentences that begin with the setting's name; no password is in them.</summary>
        internal IEnumerable<string> Problems()
        {
            if (Configuration.Count == 0)
            {
                yield return "Redis:Configuration is empty. Set it to the address of a Redis, such as redis:6379.";
            }

            var endpoints = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
            for (var i = 0; i < Configuration.Count; i++)
            {
                var name = Configuration.Count == 1 ? "Redis:Configuration" : $"Redis:Configuration:{i}";
                if (!RedisConfiguration.TryParse(Configuration[i], out var configuration, out var problem))
                {
                    yield return $"{name} {problem}";
                    continue;
                }

                if (CertificateAuthority is not null && !configuration.Options.Ssl)
                {
                    yield return $"{name} has no ssl=true, so that Redis:CertificateAuthority verifies nothing and everything goes in "
                        + "plain text. Add it, or leave CertificateAuthority out.";
                }

                foreach (var twice in configuration.EndPoints.Where(endpoint => !endpoints.Add(endpoint)))
                {
                    yield return $"{name} has {twice}, which is there already. Name each server once: one that counts "
                        + "twice decides alone.";
                }
            }

            if (Lease < ShortestLease || Lease > LongestLease)
            {
                yield return $"Redis:Lease is {Lease}. Set it to a time from {ShortestLease} to {LongestLease}.";
            }
            else if (Timeout < ShortestTimeout || Timeout > Lease / 4)
            {
                yield return $"Redis:Timeout is {Timeout}. Set it to a time from {ShortestTimeout} to a quarter of "
                    + $"Redis:Lease ({Lease / 4}).";
            }

            foreach (var problem in OciRegistry.CertificateAuthority.Problems(CertificateAuthority))
            {
                yield return $"Redis:CertificateAuthority {problem}";
            }

            if (string.IsNullOrWhiteSpace(KeyPrefix))
            {
                yield return "Redis:KeyPrefix is empty. Set it to what the keys are to begin with, such as oci-registry:.";
            }
        }
    }

    internal sealed class RedisLocksOptionsValidation : IValidateOptions<RedisLocksOptions>
    {
        public ValidateOptionsResult Validate(string? name, RedisLocksOptions options)
        {
            var problems = options.Problems().ToArray();
            return problems.Length == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(problems);
        }
    }
}

namespace Microsoft.Extensions.DependencyInjection
{
    public static class RedisLocksBuilderExtensions
    {
        /// <summary>
        /// Keeps the locks in a Redis, so that requests on all replicas that use it wait for each other. The registry
        /// starts and works without it, too: compare-and-swap in the store keeps it right.
        /// </summary>
        /// <param name="builder">The registry.</param>
        /// <param name="configuration">Such as <c>redis:6379,password=...</c>; see <see cref="RedisLocksOptions"/>.</param>
        public static OciRegistryBuilder UseRedisLocks(this OciRegistryBuilder builder, string configuration) =>
            builder.UseRedisLocks(options => options.Configuration.Add(configuration));

        /// <inheritdoc cref="UseRedisLocks(OciRegistryBuilder, string)"/>
        /// <exception cref="OptionsValidationException">At the start, with everything that is wrong.</exception>
        public static OciRegistryBuilder UseRedisLocks(
            this OciRegistryBuilder builder, Action<RedisLocksOptions> configure)
        {
            var services = builder.Services;
            services.AddOptions<RedisLocksOptions>().Configure(configure).ValidateOnStart();
            services.TryAddEnumerable(
                ServiceDescriptor.Singleton<IValidateOptions<RedisLocksOptions>, RedisLocksOptionsValidation>());
            services.TryAddSingleton(TimeProvider.System);
            services.Replace(ServiceDescriptor.Singleton<IRegistryLocks, RedisLocks>());
            return builder;
        }
    }
}
