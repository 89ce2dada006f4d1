// What OHIF's page had as scripts inside it: here, so that its policy need not allow any.
console.time("scriptToView"); // it is ended when the first image is there
window.PUBLIC_URL = "/ohif/";
window.browserImportFunction = (name) => import(name);
