var builder = WebApplication.CreateBuilder(args);
builder.Services.AddOciRegistry();
builder.Services.Configure<OciRegistry.OciRegistryOptions>(builder.Configuration.GetSection("OciRegistry"));
builder.Services.Configure<OciRegistry.Storage.FileSystem.FileSystemStoreOptions>(builder.Configuration.GetSection("OciRegistry:Storage:FileSystem"));
var app = builder.Build();
app.MapOciRegistry();
app.MapOciRegistryOperations();
app.Run();
