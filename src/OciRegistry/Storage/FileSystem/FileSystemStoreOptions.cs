using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Options;
using OciRegistry;
using OciRegistry.Hosting;
using OciRegistry.Storage;
using OciRegistry.Storage.FileSystem;

namespace OciRegistry.Storage.FileSystem
{
    /// <summary>Where a registry stores on the file system.</summary>
    public sealed class FileSystemStoreOptions
    {
        /// <summary>The folder, relative to the current one or absolute; created when missing.</summary>
        /// <value>data</value>
        public string Root { get; set; } = "data";
    }
}

namespace Microsoft.Extensions.DependencyInjection
{
    public static class FileSystemStoreBuilderExtensions
    {
        /// <summary>Stores everything in a folder. Several processes may share it.</summary>
        public static OciRegistryBuilder UseFileSystem(this OciRegistryBuilder builder, string root) =>
            builder.UseFileSystem(options => options.Root = root);

        /// <inheritdoc cref="UseFileSystem(OciRegistryBuilder, string)"/>
        public static OciRegistryBuilder UseFileSystem(
            this OciRegistryBuilder builder, Action<FileSystemStoreOptions>? configure = null)
        {
            var services = builder.Services;
            services.AddOptions<FileSystemStoreOptions>()
                .Configure(options => configure?.Invoke(options))
                .Validate(
                    options => !string.IsNullOrWhiteSpace(options.Root),
                    "Storage:FileSystem:Root is empty. Set it to the folder that the registry may store in.")
                .ValidateOnStart();
            services.TryAddSingleton(TimeProvider.System);
            services.AddSingleton(s => new FileSystemRoot(
                s.GetRequiredService<IOptions<FileSystemStoreOptions>>().Value.Root, s.GetService<RegistryMetrics>()));
            services.AddSingleton<FileStripes>();
            services.AddSingleton<FolderListings>();
            services.AddSingleton<DocumentCache>();
            services.AddSingleton<SpareFiles>();
            services.AddSingleton<FileSystemDocumentStore>();
            services.Replace(ServiceDescriptor.Singleton<IDocumentStore>(s => s.GetRequiredService<FileSystemDocumentStore>()));
            services.Replace(ServiceDescriptor.Singleton<IUploadStore, FileSystemUploadStore>());
            services.Replace(ServiceDescriptor.Singleton<IBlobStore, FileSystemBlobStore>());
            services.Replace(ServiceDescriptor.Singleton<IStorageProbe, FileSystemProbe>());
            services.Replace(ServiceDescriptor.Singleton<IStoreTime, FileSystemTime>());
            services.AddHostedService<TemporaryFiles>();
            return builder;
        }
    }
}
