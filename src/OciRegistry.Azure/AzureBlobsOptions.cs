using Azure.Core;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using OciRegistry;
using OciRegistry.Azure;
using OciRegistry.Hosting;
using OciRegistry.Storage;

namespace OciRegistry.Azure
{
    /// <summary>
    /// Where in Azure Blob Storage a registry stores, and as whom: with <see cref="ConnectionString"/>, or with
    /// <see cref="ServiceUri"/> and a key, a SAS, or else the identity that the machine has. In the server, one of these settings
    /// is enough for it not to store in a folder.
    /// </summary>
    public sealed class AzureBlobsOptions
    {
        internal static readonly TimeSpan ShortestTimeout = TimeSpan.FromMilliseconds(100);
        internal static readonly TimeSpan LongestRedirect = TimeSpan.FromHours(1);
        internal const int SmallestBuffer = 16 * 1024 * 1024;
        internal const int SmallestBlock = 1024 * 1024;
        internal const int LargestBlock = 32 * 1024 * 1024;

        /// <summary>The account's connection string. Instead of <see cref="ServiceUri"/>.</summary>
        /// <value>none</value>
        [Setting(IsSecret = true)]
        public string? ConnectionString { get; set; }

        /// <summary>
        /// The account's blob service, such as <c>https://account.blob.core.windows.net</c>; a SAS may be its query. Without
        /// that and without <see cref="AccountKey"/> the registry uses the identity that it runs with (Azure.Identity's
        /// default: workload identity, managed identity, environment), which needs the role Storage Blob Data Contributor.
        /// </summary>
        /// <value>none</value>
        [Setting(IsSecret = true)]
        public string? ServiceUri { get; set; }

        /// <summary>The key of the account of <see cref="ServiceUri"/>.</summary>
        /// <value>none</value>
        [Setting(IsSecret = true)]
        public string? AccountKey { get; set; }

        /// <summary>The container.</summary>
        /// <value>registry</value>
        public string Container { get; set; } = "registry";

        /// <summary>Creates the container at the start when it is missing.</summary>
        /// <value>true</value>
        public bool CreateContainer { get; set; } = true;

        /// <summary>What all names in the container begin with, so that several registries may share it; a folder, if any.</summary>
        /// <value>none</value>
        public string Prefix { get; set; } = "";

        /// <summary>
        /// Answers GET of a blob with 307 and a read-only URL of the storage itself that expires, so that the content does
        /// not pass through the registry. Clients must be able to reach the storage. Not possible with a SAS.
        /// </summary>
        /// <value>false</value>
        public bool Redirect { get; set; }

        /// <summary>How long such a URL is good for, up to 1 hour.</summary>
        /// <value>20 minutes</value>
        [Setting(Min = "00:00:00.0000001", Max = "01:00:00")]
        public TimeSpan RedirectLifetime { get; set; } = TimeSpan.FromMinutes(20);

        /// <summary>
        /// A PEM file with the certificates that the storage's TLS certificate must lead to. The service that gives an identity its tokens
        /// is verified by the system's certificates.
        /// </summary>
        /// <value>null: the system's</value>
        public string? CertificateAuthority { get; set; }

        /// <summary>
        /// How long one attempt of a call may take, and a second more for every MiB that goes with it.
        /// </summary>
        /// <value>15 seconds</value>
        [Setting(Min = "00:00:00.1")]
        public TimeSpan Timeout { get; set; } = TimeSpan.FromSeconds(15);

        /// <summary>
        /// For how long a call that fails or is throttled is tried again, with growing pauses, before the request is
        /// answered 503: clients repeat a request that timed out, but give up on an error status.
        /// </summary>
        /// <value>50 seconds</value>
        [Setting(Min = "00:00:00")]
        public TimeSpan RetryFor { get; set; } = TimeSpan.FromSeconds(50);

        /// <summary>
        /// Bytes that are sent to the storage at once, from 1 MiB to 32 MiB. A blob of more than 16,000 such blocks goes on
        /// in larger ones, up to more than 1 TiB.
        /// </summary>
        /// <value>8 MiB</value>
        [Setting(Min = "1048576", Max = "33554432")]
        public int BlockSize { get; set; } = 8 * 1024 * 1024;

        /// <summary>
        /// Bytes of blocks on their way to the storage that all uploads together hold in memory, from 16 MiB. Beyond it
        /// blocks are smaller.
        /// </summary>
        /// <value>64 MiB</value>
        [Setting(Min = "16777216")]
        public int BlockBuffer { get; set; } = 64 * 1024 * 1024;

        /// <summary>Blocks of a session that may have any size; of the 50,000 that a blob can have.</summary>
        internal int LooseBlocks { get; set; } = 16_000;

        /// <summary>Everything that is wrong, as sentences that begin with the setting's name; no secret is in them.</summary>
        internal IEnumerable<string> Problems()
        {
            if (AzureAccount.Problem(this) is { } problem)
            {
                yield return $"Storage:AzureBlobs:{problem}";
            }
            else if (CertificateAuthority is not null && AzureAccount.IsPlain(this))
            {
                yield return "Storage:AzureBlobs:CertificateAuthority verifies nothing, because the account's address is http. Use https, "
                    + "or leave it out.";
            }

            if (!IsContainerName(Container))
            {
                yield return "Storage:AzureBlobs:Container is no container's name. Use 3 to 63 small letters, digits and single "
                    + "hyphens, beginning and ending with a letter or digit.";
            }

            if (Prefix.Length > 200 || Prefix.Contains("//", StringComparison.Ordinal)
                || Prefix.Split('/').Any(segment => segment is "." or ".." || segment.EndsWith('.'))
                || Prefix.AsSpan().ContainsAnyExcept(AzureNames.InPrefix))
            {
                yield return "Storage:AzureBlobs:Prefix has something that names in a container cannot begin with. Use letters, "
                    + "digits, '-', '_' and '.', in segments separated by '/', up to 200.";
            }

            if (RedirectLifetime <= TimeSpan.Zero || RedirectLifetime > LongestRedirect)
            {
                yield return $"Storage:AzureBlobs:RedirectLifetime is {RedirectLifetime}. Set it to a time up to {LongestRedirect}.";
            }

            foreach (var ofAuthority in OciRegistry.CertificateAuthority.Problems(CertificateAuthority))
            {
                yield return $"Storage:AzureBlobs:CertificateAuthority {ofAuthority}";
            }

            if (Timeout < ShortestTimeout)
            {
                yield return $"Storage:AzureBlobs:Timeout is {Timeout}. Set it to a time from {ShortestTimeout}.";
            }

            if (RetryFor < TimeSpan.Zero)
            {
                yield return "Storage:AzureBlobs:RetryFor must not be negative. Leave it out for 50 s.";
            }

            if (BlockSize is < SmallestBlock or > LargestBlock)
            {
                yield return $"Storage:AzureBlobs:BlockSize is {BlockSize}. Set it to a number from {SmallestBlock} to {LargestBlock}.";
            }

            if (BlockBuffer < SmallestBuffer)
            {
                yield return $"Storage:AzureBlobs:BlockBuffer is {BlockBuffer}. Set it to {SmallestBuffer} or more.";
            }
        }

        private static bool IsContainerName(string name) =>
            name.Length is >= 3 and <= 63
            && name.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-')
            && !name.StartsWith('-') && !name.EndsWith('-') && !name.Contains("--", StringComparison.Ordinal);
    }

    internal sealed class AzureBlobsOptionsValidation : IValidateOptions<AzureBlobsOptions>
    {
        public ValidateOptionsResult Validate(string? name, AzureBlobsOptions options)
        {
            var problems = options.Problems().ToArray();
            return problems.Length == 0 ? ValidateOptionsResult.Success : ValidateOptionsResult.Fail(problems);
        }
    }
}

namespace Microsoft.Extensions.DependencyInjection
{
    public static class AzureBlobsBuilderExtensions
    {
        /// <summary>Stores everything in a container of Azure Blob Storage. Any number of replicas may share it.</summary>
        public static OciRegistryBuilder UseAzureBlobs(this OciRegistryBuilder builder, string connectionString) =>
            builder.UseAzureBlobs(options => options.ConnectionString = connectionString);

        /// <inheritdoc cref="UseAzureBlobs(OciRegistryBuilder, string)"/>
        /// <param name="builder">The registry.</param>
        /// <param name="configure">Where, and as whom.</param>
        /// <param name="credential">As whom, instead of the default identity, where neither key nor SAS is given.</param>
        /// <exception cref="OptionsValidationException">At the start, with everything that is wrong.</exception>
        public static OciRegistryBuilder UseAzureBlobs(
            this OciRegistryBuilder builder, Action<AzureBlobsOptions> configure, TokenCredential? credential = null)
        {
            var services = builder.Services;
            services.AddOptions<AzureBlobsOptions>().Configure(configure).ValidateOnStart();
            services.TryAddEnumerable(
                ServiceDescriptor.Singleton<IValidateOptions<AzureBlobsOptions>, AzureBlobsOptionsValidation>());
            services.TryAddSingleton(TimeProvider.System);
            services.AddSingleton(s => new AzureContainer(
                s.GetRequiredService<IOptions<AzureBlobsOptions>>().Value,
                credential,
                s.GetRequiredService<TimeProvider>(),
                s.GetService<RegistryMetrics>()));
            services.AddSingleton(s => s.GetRequiredService<IOptions<AzureBlobsOptions>>().Value);
            services.AddSingleton<SmallBlobs>();
            services.AddSingleton<BlobPointers>();
            services.AddSingleton<BlobSignatures>();
            services.AddSingleton<BlockMemory>();
            services.AddSingleton<StagedBlocks>();
            services.Replace(ServiceDescriptor.Singleton<IDocumentStore, AzureDocumentStore>());
            services.Replace(ServiceDescriptor.Singleton<IUploadStore, AzureUploadStore>());
            services.Replace(ServiceDescriptor.Singleton<IBlobStore, AzureBlobStore>());
            services.Replace(ServiceDescriptor.Singleton<IStorageProbe, AzureProbe>());
            services.Replace(ServiceDescriptor.Singleton<IStoreTime, AzureTime>());
            return builder;
        }
    }
}
